import { rainAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Phase, Rain } from '../../campaign/snapshot.ts';
import type { KnownWin, KnownWins, TokenBook } from '../../engines/ports.ts';
import type { CreditedWins } from '../../guard/credited-wins.ts';
import type { Player } from '../../guard/player.ts';
import { recent } from '../../guard/recent.ts';
import { readWhole, unlessBookIsAway } from '../../guard/weak.ts';
import { isShaken, sponsorsTaken } from '../../rules/person-caps.ts';
import type { ActId, PhaseKey, RainId, SceneId, SponsorId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import { idsOf } from '../../vocabulary/person.ts';
import type { ClaimRecord, RoundWins } from './claims.ts';

/** What this gateway remembers of an account in a phase: tickets given included, opened or not. */
export interface Memory {
  /** How many ids the person had when the book was asked; one more was joined later. */
  ids: number;
  packets: number;
  readonly sponsors: Set<SponsorId>;
  /** Round and scene (`winKey`) of each packet that is known to be theirs, won here or at another gateway. */
  readonly won: Set<string>;
  /** Neither the book nor the ledger could vouch that this is all; undefined as soon as one does. */
  doubt: Doubt | undefined;
}

interface Doubt {
  /** The round that was on when the person came here; what they won of it elsewhere, nobody here can say. */
  readonly rainId: RainId | undefined;
  /** By the monotonic clock. */
  readonly askAgainAtMs: number;
}

/** The accounts that play here, each in its phase. */
export interface Memories {
  /** From memory alone; undefined when the book is to be asked first. */
  of(player: Player, phase: Phase): Memory | undefined;
  /** Asks the book, or the ledger in its place: what was won survives a restart, and a change of gateways. */
  recall(player: Player, campaign: CampaignSnapshot, phase: Phase): Promise<Memory>;
}

type Book = Pick<TokenBook, 'winsOf' | 'isWhole'>;

const ACCOUNTS_MAX = 500_000;
/** Short, so that the book's return is noticed; and nobody asks a book in need more often than this. */
const ASK_AGAIN_MS = 1_000;

const NOTHING_KNOWN = { found: [], isAll: false };

export function createMemories(book: Book, creditedWins: CreditedWins, clock: Clock): Memories {
  const accounts = recent<string, Memory>(ACCOUNTS_MAX);

  async function lookUp(actId: ActId, phaseKey: PhaseKey): Promise<KnownWins> {
    const { found, isAll } = await unlessBookIsAway(
      () => readWhole(book, actId, () => book.winsOf(actId, phaseKey)),
      NOTHING_KNOWN,
    );
    return creditedWins.beside(actId, phaseKey, { wins: found, isAll });
  }

  return {
    of(player, phase) {
      const memory = accounts.get(keyOf(player.actId, phase));
      if (!memory || memory.ids <= player.aliases.length) return undefined;
      return memory.doubt && clock.monotonicMs() >= memory.doubt.askAgainAtMs ? undefined : memory;
    },

    async recall(player, campaign, phase) {
      const ids = idsOf(player);
      const cameIn = rainAt(phase, clock.now())?.id;
      const looks = await Promise.all(ids.map((actId) => lookUp(actId, phase.key)));
      // One memory an account, changed without a pause: others of this person may have asked meanwhile.
      const key = keyOf(player.actId, phase);
      const memory = accounts.get(key) ?? blank();
      const isKnown = memory.ids >= ids.length;
      // What was dealt here under an id that has been joined, and is not opened yet, no book knows.
      if (!isKnown) for (const actId of ids.slice(1)) joinAlias(memory, accounts.get(keyOf(actId, phase)));
      joinWins(
        memory,
        looks.flatMap(({ wins }) => wins),
        campaign,
      );
      memory.doubt = looks.every(({ isAll }) => isAll)
        ? undefined
        : {
            rainId: isKnown ? memory.doubt?.rainId : cameIn,
            askAgainAtMs: clock.monotonicMs() + ASK_AGAIN_MS,
          };
      memory.ids = Math.max(memory.ids, ids.length);
      accounts.set(key, memory);
      return memory;
    },
  };
}

/**
 * Whether the person may have won in this round elsewhere, and nobody can tell. Until somebody can, or the next round
 * begins, nothing is dealt to them: the ledger would pay only the first packet of two with one order number. What the
 * phone shows is joined, and vouches for nothing: an older record, or another of the person's phones, knows of less.
 */
export const isStranger = ({ doubt }: Memory, rain: Rain): boolean => doubt?.rainId === rain.id;

const keyOf = (actId: ActId, phase: Phase): string => `${phase.key}/${actId}`;

const blank = (): Memory => ({
  ids: 0,
  packets: 0,
  sponsors: new Set(),
  won: new Set(),
  doubt: undefined,
});

function joinAlias(memory: Memory, alias: Memory | undefined): void {
  if (!alias) return;
  memory.packets += alias.packets;
  for (const sponsor of alias.sponsors) memory.sponsors.add(sponsor);
  for (const key of alias.won) memory.won.add(key);
}

function joinWins(memory: Memory, wins: readonly KnownWin[], campaign: CampaignSnapshot): void {
  const shaken = wins.filter((won) => {
    const scene = campaign.scenes.get(won.sceneId);
    return !scene || isShaken(scene, campaign);
  });
  memory.packets = Math.max(memory.packets, shaken.length);
  for (const sponsor of sponsorsTaken({ sceneIds: wins.map((won) => won.sceneId) }, campaign))
    memory.sponsors.add(sponsor);
  for (const won of wins) memory.won.add(winKey(won.rainId, won.sceneId));
}

/** The phone's record and our memory are joined: each may know what the other forgot, neither can take anything away. */
export function joinClaim(memory: Memory, claim: ClaimRecord): void {
  memory.packets = Math.max(memory.packets, claim.packets);
  for (const sponsor of claim.sponsors) memory.sponsors.add(sponsor);
  for (const sceneId of claim.round?.sceneIds ?? []) memory.won.add(winKey(claim.round!.rainId, sceneId));
}

export const winKey = (rainId: RainId, sceneId: SceneId): string => `${rainId}/${sceneId}`;

export const wonIn = (rain: Rain, memory: Memory): RoundWins => ({
  rainId: rain.id,
  sceneIds: rain.deals
    .map((deal) => deal.sceneId)
    .filter((sceneId) => memory.won.has(winKey(rain.id, sceneId))),
});
