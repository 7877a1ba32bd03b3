import { inAudience, phaseAt, rainAt } from '../../campaign/lookup.ts';
import type { Bilingual, CampaignSnapshot, Phase, Rain, Scene, Sponsor } from '../../campaign/snapshot.ts';
import type { TokenBook } from '../../engines/ports.ts';
import type { CreditedWins } from '../../guard/credited-wins.ts';
import type { Player } from '../../guard/player.ts';
import type { Mac, Sealbox } from '../../guard/sealbox.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { SponsorId } from '../../vocabulary/ids.ts';
import { type Clock, type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { formatOrderNumber, type OrderNumber } from '../../vocabulary/order-number.ts';
import { isOneOf, type Person } from '../../vocabulary/person.ts';
import { decodeClaim, encodeClaim } from './claims.ts';
import type { Dealer } from './dealer.ts';
import { createMemories, isStranger, joinClaim, type Memory, winKey, wonIn } from './memories.ts';
import { openTicket, sealTicket } from './tickets.ts';

export type Prize =
  | { readonly prize: 'nothing' }
  | { readonly prize: 'greeting'; readonly sponsorId: SponsorId; readonly text: Bilingual }
  | {
      readonly prize: 'ticket';
      readonly ticket: Buffer;
      readonly sponsor: Sponsor;
      readonly expiresAtMs: InstantMs;
    };

export interface ShakeAnswer {
  readonly prize: Prize;
  /** The new claim record; undefined when it has not changed. */
  readonly claimRecord: Buffer | undefined;
}

export interface OpenedPacket {
  readonly amountFen: Fen;
  readonly orderNumber: OrderNumber;
  readonly token: Uint8Array;
  readonly scene: Scene;
  readonly order: Order;
}

interface Answer {
  readonly order: Order;
  readonly token: Uint8Array;
  readonly replayed: boolean;
}

export interface PlayDeps {
  readonly dealer: Dealer;
  readonly book: Pick<TokenBook, 'winsOf' | 'isWhole'>;
  /** Asked in the book's place while that can't vouch. */
  readonly creditedWins: CreditedWins;
  readonly tickets: Sealbox;
  readonly claims: Mac;
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  /** 3-grant. */
  readonly grant: (order: Order, leaseUntilMs: number, person: Person) => Promise<Answer | Refusal>;
  /** The first answer to this order, when there was one; throws while nobody can say. */
  readonly granted: (order: Order, person: Person) => Promise<Answer | Refusal | undefined>;
}

export interface Play {
  /** Decides a shake. Synchronous once this account is in memory, which its first shake brings about. */
  shake(
    player: Player,
    campaign: CampaignSnapshot,
    claimRecord: Uint8Array,
  ): ShakeAnswer | Refusal | Promise<ShakeAnswer | Refusal>;
  open(player: Player, campaign: CampaignSnapshot, ticket: Uint8Array): Promise<OpenedPacket | Refusal>;
}

const GREETING_SHARE = 0.35;
const NOTHING: ShakeAnswer = { prize: { prize: 'nothing' }, claimRecord: undefined };

export function createPlay(deps: PlayDeps): Play {
  const { clock, dealer } = deps;
  const memories = createMemories(deps.book, deps.creditedWins, clock);

  function shake(player: Player, campaign: CampaignSnapshot, claimRecord: Uint8Array) {
    const nowMs = clock.now();
    const phase = phaseAt(campaign, nowMs);
    if (!phase || !inAudience(phase, player.actId)) return refuse('phase-closed', 'nothing is on right now');
    const memory = memories.of(player, phase);
    if (memory) return shakeFrom(memory, player, campaign, phase, nowMs, claimRecord);
    return memories
      .recall(player, campaign, phase)
      .then((recalled) => shakeFrom(recalled, player, campaign, phase, nowMs, claimRecord));
  }

  function shakeFrom(
    memory: Memory,
    player: Player,
    campaign: CampaignSnapshot,
    phase: Phase,
    nowMs: InstantMs,
    claimRecord: Uint8Array,
  ): ShakeAnswer | Refusal {
    const rain = rainAt(phase, nowMs);
    if (claimRecord.length > 0) {
      const owner = { campaignId: campaign.id, phaseKey: phase.key, ...player };
      const claim = decodeClaim(deps.claims, owner, claimRecord);
      if (isRefusal(claim)) return claim;
      joinClaim(memory, claim);
    }
    if (!rain || isStranger(memory, rain)) return greetingOrNothing(campaign);
    return win(memory, player, campaign, phase, rain, nowMs) ?? greetingOrNothing(campaign);
  }

  function win(
    memory: Memory,
    player: Player,
    campaign: CampaignSnapshot,
    phase: Phase,
    rain: Rain,
    nowMs: InstantMs,
  ): ShakeAnswer | undefined {
    if (memory.packets >= campaign.limits.packets) return undefined;
    const first = Math.floor(deps.random() * rain.deals.length);
    for (let at = 0; at < rain.deals.length; at += 1) {
      const scene = campaign.scenes.get(rain.deals[(first + at) % rain.deals.length]!.sceneId)!;
      if (!mayWin(memory, campaign, scene, rain)) continue;
      const packet = dealer.deal(phase, rain, scene.id);
      if (!packet) continue;
      memory.packets += 1;
      memory.sponsors.add(scene.sponsorId);
      memory.won.add(winKey(rain.id, scene.id));
      const expiresAtMs = instantMs(Math.min(nowMs + campaign.ticketTtlMs, packet.grantUntilMs));
      const order = orderOf(player, campaign, phase, rain, scene, packet.amountFen, nowMs, packet.unit);
      return {
        prize: {
          prize: 'ticket',
          ticket: sealTicket(deps.tickets, { order, expiresAtMs }),
          sponsor: campaign.sponsors.get(scene.sponsorId)!,
          expiresAtMs,
        },
        claimRecord: encodeClaim(
          deps.claims,
          { campaignId: campaign.id, phaseKey: phase.key, actId: player.actId },
          { packets: memory.packets, sponsors: [...memory.sponsors], round: wonIn(rain, memory) },
        ),
      };
    }
    return undefined;
  }

  function mayWin(memory: Memory, campaign: CampaignSnapshot, scene: Scene, rain: Rain): boolean {
    if (memory.won.has(winKey(rain.id, scene.id))) return false;
    // With one packet a sponsor, who is in the set has it; with more, the grant counts exactly.
    return campaign.limits.packetsPerSponsor > 1 || !memory.sponsors.has(scene.sponsorId);
  }

  function greetingOrNothing(campaign: CampaignSnapshot): ShakeAnswer {
    if (deps.random() >= GREETING_SHARE) return NOTHING;
    const sponsors = [...campaign.sponsors.values()].filter((sponsor) => sponsor.greetings.length > 0);
    const sponsor = sponsors[Math.floor(deps.random() * sponsors.length)];
    if (!sponsor) return NOTHING;
    const text = sponsor.greetings[Math.floor(deps.random() * sponsor.greetings.length)]!;
    return { prize: { prize: 'greeting', sponsorId: sponsor.id, text }, claimRecord: undefined };
  }

  async function open(
    player: Player,
    campaign: CampaignSnapshot,
    bytes: Uint8Array,
  ): Promise<OpenedPacket | Refusal> {
    const ticket = openTicket(deps.tickets, bytes);
    if (!ticket) return refuse('ticket-invalid', 'no packet ticket of ours');
    const { order, expiresAtMs } = ticket;
    if (!isOneOf(player, order.actId)) return refuse('ticket-foreign', 'the packet is of another person');
    if (order.campaignId !== campaign.id)
      return refuse('ticket-invalid', `the packet is of campaign ${order.campaignId}`);
    const scene = campaign.scenes.get(order.sceneId);
    if (!scene)
      return refuse('scene-unknown', `campaign ${campaign.id} has no scene ${order.sceneId} any more`);
    // A packet that was opened in time is answered for ever; only a first opening can come too late.
    const granted =
      clock.now() > expiresAtMs ? await late(order, player) : await deps.grant(order, expiresAtMs, player);
    if (isRefusal(granted)) return granted;
    return {
      amountFen: granted.order.amountFen,
      orderNumber: granted.order.orderNumber,
      token: granted.token,
      scene,
      order: granted.order,
    };
  }

  async function late(order: Order, player: Player) {
    const first = await deps.granted(order, player);
    const isOther = first && isRefusal(first) && first.refused === 'order-conflict';
    return first && !isOther ? first : refuse('ticket-expired', 'the packet went back into the rain');
  }

  return { shake, open };
}

function orderOf(
  player: Player,
  campaign: CampaignSnapshot,
  phase: Phase,
  rain: Rain,
  scene: Scene,
  amountFen: Fen,
  drawnAtMs: InstantMs,
  unit: Order['unit'],
): Order {
  const parts = {
    actId: player.actId,
    sceneId: scene.id,
    rainId: rain.id,
    awardType: scene.award,
    stage: phase.id,
  };
  return {
    orderNumber: formatOrderNumber(parts),
    appId: player.appId,
    actId: player.actId,
    campaignId: campaign.id,
    phaseId: phase.id,
    phaseKey: phase.key,
    sceneId: scene.id,
    rainId: rain.id,
    awardType: scene.award,
    amountFen,
    drawnAtMs,
    unit,
  };
}
