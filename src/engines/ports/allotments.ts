import type { AmountRule, Budget } from '../../campaign/snapshot.ts';
import type { Refusal } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { PhaseKey, RainId, SceneId, SliceId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { LogSequence } from './log.ts';

/** A leased piece of a budget. A cut slice names every packet's amount; a slice of a `given` scene only its total. */
export interface Slice {
  readonly sliceId: SliceId;
  readonly epoch: number;
  readonly phaseKey: PhaseKey;
  readonly sceneId: SceneId;
  /** Undefined for a scene that is granted by upstreams outside any round. */
  readonly rainId: RainId | undefined;
  /** Amounts in fen by index; undefined for a `given` scene. */
  readonly packetsFen: readonly Fen[] | undefined;
  readonly packets: number;
  readonly fen: Fen;
  /** Nothing is dealt from it after this. */
  readonly dealUntilMs: InstantMs;
  /** Nothing of it is granted after this: the last ticket has expired. */
  readonly grantUntilMs: InstantMs;
}

/** `open` ones may still be granted from, `fenced` ones wait for their tally. */
export interface UnclosedSlice {
  readonly slice: Slice;
  readonly holder: string;
  readonly state: 'open' | 'fenced';
  /** By bucket, where its fence was last known to stand in that bucket's log; shorter where nothing is known. */
  readonly fencedAt: readonly (LogSequence | undefined)[];
}

export interface SliceLeaseAsk {
  readonly phaseKey: PhaseKey;
  readonly sceneId: SceneId;
  readonly rainId: RainId | undefined;
  readonly holder: string;
  readonly packetsWanted: number;
  /** For a `given` scene: how much money is wanted, and with how little nothing could be granted. */
  readonly fenWanted?: Fen;
  readonly fenLeast?: Fen;
  /** When dealing begins. With it, a slice that comes out smaller than wanted is dealt from for a shorter time. */
  readonly dealFromMs?: InstantMs;
  readonly dealUntilMs: InstantMs;
  readonly grantUntilMs: InstantMs;
}

export interface BudgetSetting {
  readonly phaseKey: PhaseKey;
  /** The scene; of a level its path (`BudgetLevel`), which no scene's id can be. */
  readonly sceneId: SceneId;
  /** Undefined: the scene's total of the phase, or a level's. */
  readonly rainId: RainId | undefined;
  readonly total: Budget;
  /** Of pieces: what each is worth. */
  readonly packetCapFen: Fen;
  readonly rule: AmountRule['rule'] | 'level';
  /** Of the campaign's file that says so: what a newer one has set stays as it is. */
  readonly version?: number;
  /** Of a scene's total: the paths of the levels that it counts for. Those it had stay when this is left out. */
  readonly levels?: readonly string[];
}

/** At any moment remaining + leased + given = total. */
export interface BudgetLine {
  readonly phaseKey: PhaseKey;
  /** A level's path, where the line is a level's. */
  readonly sceneId: SceneId;
  readonly rainId: RainId | undefined;
  readonly total: Budget;
  /** Neither leased nor given. */
  readonly remaining: Budget;
  /** In slices that are not closed: given from them already, or not yet. */
  readonly leased: Budget;
  /** Counted when a slice is closed. */
  readonly given: Budget;
}

/** What a scene has left in a phase. */
export interface SceneStock extends Omit<BudgetLine, 'phaseKey' | 'rainId'> {
  /** What may still be leased: the least that remains of the scene and of every level above it. */
  readonly available: Budget;
  /** Under 10 % remain, of the scene or of a level above it. */
  readonly low: boolean;
}

export interface Allotments {
  /**
   * Makes sure that the budget lines of a phase exist with these totals; a total may be raised, never lowered below
   * what is leased or given (refused with budget-exhausted). What a scene has out or given counts for the levels it
   * has now, also for one that is set later. Settings that say levels are a whole file's: other levels are dropped.
   */
  setBudgets(lines: readonly BudgetSetting[]): Promise<Refusal | undefined>;
  /**
   * Leases at most what is wanted, and at most what rules/share.ts leaves one of several holders, from the round, the
   * scene and every level above it; cut so that the slice sums exactly. Undefined when nothing remains. After a fault
   * a slice may have been leased: its holder's reclaim brings it back.
   */
  lease(ask: SliceLeaseAsk): Promise<Slice | undefined>;
  /** Gives back the packets from `fromIndex` on, which were never dealt, and ends the dealing. Repeats change nothing. */
  returnTail(slice: Pick<Slice, 'sliceId' | 'epoch'>, fromIndex: number, fenReturned: Fen): Promise<void>;
  unclosed(): Promise<readonly UnclosedSlice[]>;
  fence(slice: Pick<Slice, 'sliceId' | 'epoch'>): Promise<void>;
  /** Keeps where its fence stands, by bucket, for whoever takes the slice up after a crash. */
  noteFences(
    slice: Pick<Slice, 'sliceId' | 'epoch'>,
    fencedAt: readonly (LogSequence | undefined)[],
  ): Promise<void>;
  /** Whether orders of this slice may still be promised: it was leased in this epoch and is neither fenced nor closed. */
  isOpen(slice: Pick<Slice, 'sliceId' | 'epoch'>): Promise<boolean>;
  /** Ends a fenced slice: what it has not given goes back to its budget lines. Repeats change nothing. */
  close(
    slice: Pick<Slice, 'sliceId' | 'epoch'>,
    given: { readonly packets: number; readonly fen: Fen },
  ): Promise<void>;
  budgets(phaseKey: PhaseKey): Promise<readonly BudgetLine[]>;
  /** Those of the asked scenes that have a budget in the phase. Looks at no round: cheap, however many there are. */
  stock(phaseKey: PhaseKey, sceneIds: readonly SceneId[]): Promise<readonly SceneStock[]>;
}
