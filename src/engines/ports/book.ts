import type { ActId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { TokenStatus } from '../../vocabulary/token-status.ts';
import type { CreditedOrder } from './ledger.ts';
import type { LogPosition, LogSequence } from './log.ts';

/** One promised order, as the book knows it. */
export interface BookEntry {
  readonly order: Order;
  readonly position: LogPosition;
  readonly status: TokenStatus;
}

/** What is kept of an order for as long as its phase lives, credited or not. */
export interface Win {
  readonly orderNumber: OrderNumber;
  readonly sceneId: SceneId;
  readonly rainId: RainId;
  readonly position: LogPosition;
}

/** A win of which it is known what it was, but not where it stands in the log: the ledger keeps no places. */
export interface UnplacedWin extends Omit<Win, 'position'> {
  readonly content: CreditedOrder;
}

export type KnownWin = Win | UnplacedWin;

/** What is known of a person's wins in a phase. */
export interface KnownWins {
  readonly wins: readonly KnownWin[];
  /** Whether these are all there are. */
  readonly isAll: boolean;
}

/**
 * A person's turn to be granted to, in one phase. While a process has it no other one gets it, so what it read is all
 * there is, until it gives it back or the turn runs out. It is weak, as the book is: where the book forgets, two
 * processes may go on at once, and the order number's key alone says what is paid.
 */
export interface PersonTurn {
  /** Every order of this person in the phase that the book has, read in the moment in which the turn was taken. */
  readonly wins: readonly Win[];
  /** Whether these were all there are; see `isWhole`. */
  readonly isAll: boolean;
  /** Whether it surely is nobody else's until a promise made now was noted. If not, take it anew: it lasts longer then. */
  lasts(): boolean;
  /** The next `record` of this order by this process gives it back, in the same call. */
  endsWith(orderNumber: OrderNumber): void;
  /** Nobody waits for it; again, or after it ended, it changes nothing. */
  giveBack(): void;
}

/** The server's copy of the tokens: a cache of the log, never the promise itself. */
export interface TokenBook {
  /**
   * Notes appended orders as outstanding. An order number that is there already stays as it is. Gives back those that
   * are certainly noted for the first time: none of what lies where the book may have forgotten something.
   */
  record(
    entries: readonly { readonly order: Order; readonly position: LogPosition }[],
  ): Promise<readonly Order[]>;
  /** Moves tokens 1 → 2 → 8, never back; unknown numbers are passed over. A credited one leaves `outstandingOf`. */
  advance(orders: readonly Order[], status: TokenStatus): Promise<void>;
  /** This person's tokens that are not known to be credited (status 1 and 2). */
  outstandingOf(actId: ActId, phaseKey: PhaseKey): Promise<readonly BookEntry[]>;
  /** Every order of this person in the phase, credited or not. */
  winsOf(actId: ActId, phaseKey: PhaseKey): Promise<readonly Win[]>;
  /**
   * `winsOf`, and this person's turn with it. Waits, some seconds at most, while another process has it; undefined when
   * it still has it then. What this process has itself it gets again: the book of a process knows no two of them.
   */
  takeTurn(actId: ActId, phaseKey: PhaseKey): Promise<PersonTurn | undefined>;
  /**
   * Whether what the book has of this person is all there is. False from the moment at which it may have forgotten
   * something until it is filled again: what it has is true then, what it lacks says nothing. What is read was all if this
   * was so before and behind the read (`readWhole`).
   */
  isWhole(actId: ActId): Promise<boolean>;
  /** How many tokens are outstanding or being credited, in all. */
  outstandingCount(): Promise<number>;
}

/**
 * A book that may forget, because it lies on servers of its own, and that can be filled again from the log. It is a
 * bucket's owner who does that: look at `wholeness`; when it is not whole, `record` what the log has not drained, and
 * `advance` what `pendingIn` still has although the log has drained it; then `markWhole` with the state seen first.
 */
export interface RestorableBook extends TokenBook {
  /** As ever; with `begin`, what is noted at a place before it stands where it is noted now: that log is lost. */
  record(entries: Parameters<TokenBook['record']>[0], begin?: LogSequence): ReturnType<TokenBook['record']>;
  /** Whether nothing can have been lost or kept from the bucket since it was marked; and its state, for `markWhole`. */
  wholeness(bucket: number): Promise<{ readonly whole: boolean; readonly state: string }>;
  /** False, and nothing is marked, when the state is no longer the one that was seen. */
  markWhole(bucket: number, state: string): Promise<boolean>;
  /** Says that something was kept from the bucket: it is not whole until it was filled again. */
  tear(bucket: number): Promise<void>;
  /** What is not credited, of every phase, in no order; an entry that moves meanwhile may come twice. */
  pendingIn(bucket: number): AsyncIterable<BookEntry>;
}
