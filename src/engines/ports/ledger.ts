import type { Refusal } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, PhaseKey, SceneId, SliceId, WithdrawalId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { Order, SliceUnit } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { HotTotal } from './hot-totals.ts';

export interface Account {
  readonly actId: ActId;
  readonly phaseKey: PhaseKey;
}

/** An order by the key under which it is credited: numbers alone repeat in other campaigns. */
export interface OrderName extends Account {
  readonly orderNumber: OrderNumber;
}

/** An order as it stands in the ledger. */
export interface CreditedOrder {
  readonly orderNumber: OrderNumber;
  /** What the order said; a piece: its worth. */
  readonly amountFen: Fen;
  readonly drawnAtMs: InstantMs;
  readonly unit: SliceUnit;
}

export interface CreditReceipt {
  readonly credited: number;
  /** Already there with the very same content: a repeat, nothing moved. */
  readonly alreadyCredited: number;
  /** Already there with other content: nothing moved, and somebody must look. */
  readonly conflicting: readonly OrderNumber[];
}

/** Balance and the credited order numbers, of one moment. */
export interface LedgerWallet {
  readonly balanceFen: Fen;
  /** Taken out of the balance for withdrawals that are not settled. */
  readonly heldFen: Fen;
  /** All credits ever. */
  readonly incomeFen: Fen;
  /**
   * What transfers between a person's ids brought in all, less what they took. Balance less this is what no transfer
   * changes: summed over the ids it is what the person has, at whatever moments each was read.
   */
  readonly movedFen: Fen;
  /** Those of the asked order numbers that are credited, pieces too; the amounts are money only. */
  readonly credited: ReadonlySet<OrderNumber>;
}

export type WithdrawalState = 'requested' | 'held' | 'paying' | 'paid' | 'returned';

export interface Withdrawal {
  readonly id: WithdrawalId;
  readonly account: Account;
  readonly amountFen: Fen;
  readonly state: WithdrawalState;
  readonly requestedAtMs: InstantMs;
  readonly settledAtMs?: InstantMs;
}

/** Position in the records, newest first: (atMs, ref), both falling. */
export interface RecordCursor {
  readonly atMs: InstantMs;
  readonly ref: string;
}

/** A line of the wallet. `ref` is the order number of a credit, the id of a withdrawal. */
export type LedgerRecord =
  | { readonly kind: 'credit'; readonly atMs: InstantMs; readonly ref: OrderNumber; readonly amountFen: Fen }
  | {
      readonly kind: 'withdrawal';
      readonly atMs: InstantMs;
      readonly ref: WithdrawalId;
      readonly amountFen: Fen;
      readonly state: WithdrawalState;
    };

export interface WithdrawalRequest {
  readonly id: WithdrawalId;
  readonly account: Account;
  readonly amountFen: Fen;
  readonly idempotencyKey: string;
  /** SHA-256 of what was asked for; the same key with another hash is refused. */
  readonly payloadHash: Uint8Array;
  readonly requestedAtMs: InstantMs;
  /** This person's outstanding orders, credited in the same transaction, before the hold. */
  readonly force: readonly Order[];
}

/**
 * A piece (coupon, ticket, pendant, greeting) on its way to the person: granted ▸ asking ▸ fulfilled ▸ used; or dead,
 * when no downstream will hand it out, until somebody replays it. "Unknown" is no state: it stays `asking`.
 */
export const AWARD_STATES = ['granted', 'asking', 'fulfilled', 'used', 'dead'] as const;
export type AwardState = (typeof AWARD_STATES)[number];

/** A scene of one campaign: another one may have a scene of this name, but none of its phases. */
export interface AwardScene {
  readonly phaseKey: PhaseKey;
  readonly sceneId: SceneId;
}

/** A credited piece: once for its order number, whatever the downstream does. */
export interface Award {
  readonly account: Account;
  readonly orderNumber: OrderNumber;
  /** What it is worth, in fen. */
  readonly worthFen: Fen;
  readonly state: AwardState;
  /** When it was drawn. */
  readonly drawnAtMs: InstantMs;
  /** How often the downstream was asked for it, or about it, since it was credited or replayed. */
  readonly tries: number;
  /** Nobody asks before that. */
  readonly dueAtMs: InstantMs;
  /** What the downstream gave: a code, a number, a link. Shown to this person only. */
  readonly voucher?: string;
  /** What the downstream said last, when it did not hand it out. */
  readonly reason?: string;
  readonly usedAtMs?: InstantMs;
}

/** What one database of the ledger has credited in a phase; it only grows, wherever people move. */
export interface CreditedSum {
  readonly database: string;
  readonly phaseKey: PhaseKey;
  readonly credited: HotTotal;
}

export interface Ledger {
  /**
   * Credits orders: one posting each under the order number's key, and one funding posting per slice and batch
   * (accounts of slices are −sliceId). All or nothing, money and pieces each by itself: after a fault one kind may be
   * there and the other not. Orders may repeat, inside a batch too.
   * A piece goes into the person's purse 6 at its worth, and is one of `Awards` from then on: granted, due at once.
   */
  credit(orders: readonly Order[]): Promise<CreditReceipt>;
  /**
   * Credits orders that never went through the log, because it is down. An order of a slice that was fenced here
   * moves nothing and comes back in `fenced`: nobody may be told "won". One that was credited before is a repeat.
   */
  creditUnlogged(
    orders: readonly Order[],
  ): Promise<CreditReceipt & { readonly fenced: readonly OrderNumber[] }>;
  /**
   * From then on `creditUnlogged` and `hold` credit nothing of this slice's leases up to the epoch that is not there
   * already: the slice may be counted. Repeats change nothing.
   */
  fence(unit: Pick<SliceUnit, 'sliceId' | 'epoch'>): Promise<void>;
  wallet(account: Account, orderNumbers: readonly OrderNumber[]): Promise<LedgerWallet>;
  /** Whether each of these orders is credited, pieces too; in their order, however many. */
  areCredited(orders: readonly OrderName[]): Promise<readonly boolean[]>;
  /**
   * Every order that is credited to each of these accounts, pieces too, in the order in which they were drawn; by
   * account, in theirs, however many. What was moved to another of the person's ids stands under the id that won it.
   */
  creditedOrdersOf(accounts: readonly Account[]): Promise<readonly (readonly CreditedOrder[])[]>;
  /** Money only (pieces: `Awards`). Newest first, strictly behind the cursor. */
  records(account: Account, after: RecordCursor | undefined, limit: number): Promise<readonly LedgerRecord[]>;
  /**
   * Credits `force`, but for orders of fenced slices, then holds the amount, in one transaction. The same key and
   * payload again gives the first answer with `replayed`. Refuses with insufficient-balance, idempotency-key-reused or
   * idempotency-in-flight; a refusal moves nothing (the forced credits neither).
   */
  hold(
    request: WithdrawalRequest,
  ): Promise<{ readonly withdrawal: Withdrawal; readonly replayed: boolean } | Refusal>;
  withdrawal(account: Account, id: WithdrawalId): Promise<Withdrawal | undefined>;
  /**
   * The withdrawal that has this key, if there is one; idempotency-key-reused when it was for something else,
   * idempotency-in-flight while one is being held.
   */
  replayOf(
    account: Account,
    ask: Pick<WithdrawalRequest, 'idempotencyKey' | 'payloadHash'>,
  ): Promise<Withdrawal | Refusal | undefined>;
  /**
   * Moves all that an alias's wallet holds to another id of the person, in the same phase and wherever both lie; an
   * earlier move that was broken off is finished first. Gives what arrived anywhere. Repeats move nothing twice.
   */
  moveBalance(from: Account, to: ActId, atMs: InstantMs): Promise<Fen>;
  /** Which accounts of these people `moveBalance` finds something in; of databases that answer. */
  fundedAmong(actIds: readonly ActId[]): Promise<readonly Account[]>;
  /** held → paying, before the payout is asked for. False when it was in neither state. */
  markPaying(id: WithdrawalId, account: Account): Promise<boolean>;
  /** paying → paid (held money leaves) or paying → returned (held money goes back). Repeats change nothing. */
  settle(id: WithdrawalId, account: Account, end: 'paid' | 'returned', atMs: InstantMs): Promise<Withdrawal>;
  /** Withdrawals that are held or paying, oldest first. */
  unsettled(limit: number): Promise<readonly Withdrawal[]>;
  /** What a slice has given: number and sum of its credited orders. */
  sliceTally(phaseKey: PhaseKey, sliceId: SliceId): Promise<{ readonly packets: number; readonly fen: Fen }>;
  /** What was credited so far, of those databases that answer: one line for each and each phase. */
  creditedSums(): Promise<readonly CreditedSum[]>;
  health(): Promise<{ readonly reachable: boolean; readonly reason?: string }>;
  close(): Promise<void>;
}

/** The ledger's pieces: credited like money (purse 6), handed out by downstreams behind it. */
export interface Awards {
  /** All pieces of this person in the phase, newest first (drawn, then order number). */
  awards(account: Account): Promise<readonly Award[]>;
  award(account: Account, orderNumber: OrderNumber): Promise<Award | undefined>;
  /** Pieces that are granted or asking and due, those that have waited longest first; of these scenes, or of all. */
  dueAwards(nowMs: InstantMs, limit: number, scenes?: readonly AwardScene[]): Promise<readonly Award[]>;
  /** Pieces that are granted or asking and due strictly behind a moment, those first that are due first. */
  awardsDueBehind(afterMs: InstantMs, limit: number): Promise<readonly Award[]>;
  /**
   * granted → asking, before the downstream is first asked. False when it was in neither state. With a claim it is
   * false too when it is due at another time than `dueAtMs`, because somebody else took it up since that was read; and
   * from then on it is due at `untilMs`.
   */
  markAsking(
    account: Account,
    orderNumber: OrderNumber,
    claim?: { readonly dueAtMs: InstantMs; readonly untilMs: InstantMs },
  ): Promise<boolean>;
  /**
   * Notes a try that settled nothing: asked again from `dueAtMs` on; `again` takes it back to granted. With `asked`
   * false nobody was asked, so it counts as no try.
   */
  deferAward(
    account: Account,
    orderNumber: OrderNumber,
    next: {
      readonly dueAtMs: InstantMs;
      readonly reason: string;
      readonly again: boolean;
      readonly asked?: boolean;
    },
  ): Promise<void>;
  /**
   * asking → fulfilled or dead; from granted too, where another worker took it back meanwhile. Repeats change nothing
   * (the first voucher stays); another end than the first one throws BrokenInvariant.
   */
  settleAward(
    account: Account,
    orderNumber: OrderNumber,
    end:
      | { readonly state: 'fulfilled'; readonly voucher?: string }
      | { readonly state: 'dead'; readonly reason: string },
  ): Promise<Award>;
  /** fulfilled → used. Repeats change nothing. Undefined when it is not fulfilled. */
  useAward(account: Account, orderNumber: OrderNumber, atMs: InstantMs): Promise<Award | undefined>;
  /** The dead letters, by order number, strictly behind `after`. */
  deadAwards(after: OrderNumber | undefined, limit: number): Promise<readonly Award[]>;
  /** Granted or asking after at least so many tries: for a person to look at. By order number, behind `after`. */
  stuckAwards(triesMin: number, after: OrderNumber | undefined, limit: number): Promise<readonly Award[]>;
  /** Granted or asking pieces: how many, how many of them due, and when the oldest of them was drawn. */
  awardsOnTheirWay(
    nowMs: InstantMs,
  ): Promise<{ readonly count: number; readonly due: number; readonly oldestDrawnAtMs?: InstantMs }>;
  /** dead → asking: what became of it is asked before it is asked for anew. False when it was not dead. */
  replayAward(account: Account, orderNumber: OrderNumber, dueAtMs: InstantMs): Promise<boolean>;
}
