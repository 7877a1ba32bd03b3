import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Scene } from '../../campaign/snapshot.ts';
import type { Allotments, Slice, UpstreamCredential } from '../../engines/ports.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, AppId, PhaseKey, RainId } from '../../vocabulary/ids.ts';
import { type Clock, type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { Order, SliceUnit } from '../../vocabulary/order.ts';
import { formatOrderNumber } from '../../vocabulary/order-number.ts';
import type { Granted, Granter } from './grant.ts';
import { createTurns } from './turns.ts';

export interface UpstreamGrant {
  readonly campaign: CampaignSnapshot;
  readonly scene: Scene;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly actId: ActId;
  /** Needed for a `given` scene, not taken for others. */
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs | undefined;
}

export interface UpstreamGranter {
  grant(credential: UpstreamCredential, ask: UpstreamGrant): Promise<Granted | Refusal>;
  /** Gives back what its slices have left. */
  stop(): Promise<void>;
}

export interface UpstreamGranterOptions {
  readonly granter: Granter;
  readonly allotments: Allotments;
  readonly holder: string;
  readonly clock: Clock;
}

const SLICE_PACKETS = 100;
const SLICE_DEALS_FOR_MS = 60_000;
const GRANT_MARGIN_MS = 10_000;
const DRAWN_AHEAD_MS_MAX = 5_000;

interface Payment {
  readonly unit: SliceUnit;
  readonly amountFen: Fen;
  readonly grantUntilMs: InstantMs;
}

interface Held {
  readonly slice: Slice;
  nextIndex: number;
  fenLeft: bigint;
}

/** Grants for services upstream: they name campaign and scene, the draw's time names the phase, a slice pays. */
export function createUpstreamGranter(options: UpstreamGranterOptions): UpstreamGranter {
  const { granter, allotments, clock } = options;
  const turns = createTurns<string>();
  const held = new Map<string, Held>();

  /** The next unit of the scene's slice; leases another when this one can't pay. One lease at a time per scene. */
  function takeUnit(
    scene: Scene,
    phaseKey: PhaseKey,
    amountFen: Fen | undefined,
  ): Promise<Payment | Refusal> {
    const key = `${phaseKey}/${scene.id}`;
    return turns.take(key, async () => {
      for (let leased = false; ; leased = true) {
        const unit = unitFrom(held.get(key), amountFen);
        if (unit) return unit;
        if (leased) return refuse('budget-exhausted', `scene ${scene.id} has nothing left that can pay this`);
        const before = held.get(key);
        held.delete(key);
        if (before) await giveBack(before);
        const slice = await lease(scene, phaseKey, amountFen);
        if (!slice) return refuse('budget-exhausted', `scene ${scene.id} has nothing left`);
        granter.acceptSlice(slice.sliceId);
        held.set(key, { slice, nextIndex: 0, fenLeft: slice.fen });
      }
    });
  }

  function unitFrom(from: Held | undefined, amountFen: Fen | undefined): Payment | undefined {
    if (!from || from.nextIndex >= from.slice.packets || clock.now() >= from.slice.dealUntilMs)
      return undefined;
    const amount = from.slice.packetsFen?.[from.nextIndex] ?? amountFen!;
    if (amount > from.fenLeft) return undefined;
    const unit = { sliceId: from.slice.sliceId, epoch: from.slice.epoch, index: from.nextIndex };
    from.nextIndex += 1;
    from.fenLeft -= amount;
    return { unit, amountFen: amount, grantUntilMs: from.slice.grantUntilMs };
  }

  function lease(scene: Scene, phaseKey: PhaseKey, amountFen: Fen | undefined): Promise<Slice | undefined> {
    const dealUntilMs = instantMs(clock.now() + SLICE_DEALS_FOR_MS);
    const mean = scene.budget.fen / BigInt(scene.budget.packets) || 1n;
    const fenWanted = (
      mean * BigInt(SLICE_PACKETS) > (amountFen ?? 0n) ? mean * BigInt(SLICE_PACKETS) : amountFen!
    ) as Fen;
    return allotments.lease({
      phaseKey,
      sceneId: scene.id,
      rainId: undefined,
      holder: options.holder,
      packetsWanted: SLICE_PACKETS,
      ...(scene.amount.rule === 'given' ? { fenWanted } : {}),
      dealUntilMs,
      grantUntilMs: instantMs(dealUntilMs + GRANT_MARGIN_MS),
    });
  }

  async function giveBack({ slice, nextIndex, fenLeft }: Held): Promise<void> {
    if (nextIndex < slice.packets) await allotments.returnTail(slice, nextIndex, fenLeft as Fen);
  }

  return {
    async grant(credential, ask) {
      const { campaign, scene } = ask;
      if (credential.campaignId !== campaign.id || !credential.scenes.has(scene.id))
        return refuse('forbidden', `this credential is not for scene ${scene.id}`);
      const nowMs = clock.now();
      const drawnAtMs = ask.drawnAtMs ?? nowMs;
      if (drawnAtMs > nowMs + DRAWN_AHEAD_MS_MAX) return refuse('malformed', 'drawnAtMs lies in the future');
      const phase = phaseAt(campaign, drawnAtMs);
      if (!phase) return refuse('phase-closed', `campaign ${campaign.id} has no phase at ${drawnAtMs}`);
      const amountRefusal = checkAmount(scene, ask.amountFen);
      if (amountRefusal) return amountRefusal;

      const parts = {
        actId: ask.actId,
        sceneId: scene.id,
        rainId: ask.rainId,
        awardType: scene.award,
        stage: phase.id,
      };
      const orderNumber = formatOrderNumber(parts);
      const name = { actId: ask.actId, phaseKey: phase.key, orderNumber };
      const earlier = await granter.find(name);
      if (earlier) return again(earlier, ask);
      const taken = await takeUnit(scene, phase.key, ask.amountFen);
      if (isRefusal(taken)) return taken;
      const { grantUntilMs, ...paid } = taken;
      const order: Order = {
        orderNumber,
        appId: ask.appId,
        actId: ask.actId,
        campaignId: campaign.id,
        phaseId: phase.id,
        phaseKey: phase.key,
        sceneId: scene.id,
        rainId: ask.rainId,
        awardType: scene.award,
        drawnAtMs,
        ...paid,
      };
      const granted = await granter.grant(order, grantUntilMs);
      // Two requests with one number at the same moment: the other took another unit, which comes back by its slice.
      if (isRefusal(granted) && granted.refused === 'order-conflict') {
        const first = await granter.find(name);
        return first ? again(first, ask) : granted;
      }
      return granted;
    },
    async stop() {
      for (const one of held.values()) await giveBack(one).catch(() => {});
    },
  };
}

function checkAmount(scene: Scene, amountFen: Fen | undefined): Refusal | undefined {
  if (scene.amount.rule !== 'given') {
    return amountFen === undefined
      ? undefined
      : refuse('amount-invalid', `the amounts of scene ${scene.id} are not named by callers`);
  }
  if (amountFen === undefined)
    return refuse('amount-invalid', `a grant of scene ${scene.id} names its amountFen`);
  return amountFen > scene.packetCapFen
    ? refuse('amount-over-cap', `a packet of scene ${scene.id} is at most ${scene.packetCapFen} fen`)
    : undefined;
}

/** The first answer, if this asks for the same: what the caller named must be what it named then. */
function again(first: Granted, ask: UpstreamGrant): Granted | Refusal {
  const same =
    (ask.amountFen === undefined || ask.amountFen === first.order.amountFen) &&
    (ask.drawnAtMs === undefined || ask.drawnAtMs === first.order.drawnAtMs) &&
    ask.appId === first.order.appId;
  return same
    ? { ...first, replayed: true }
    : refuse('order-conflict', `order ${first.order.orderNumber} was granted with other content`);
}
