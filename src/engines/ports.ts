/**
 * The outside world, as small as the stations need it. Every engine of a port passes the port's one contract suite
 * (test/contracts). Amounts are fen, times are ms since 1970 UTC unless they say otherwise. Unless stated, a call
 * that fails throws `RetryableFault`: it may or may not have been done, and doing it again is safe.
 */
import type { AmountRule, Budget } from '../campaign/snapshot.ts';
import type { Refusal } from '../protocol/failures.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type {
  ActId,
  AppId,
  CampaignId,
  PhaseId,
  PhaseKey,
  RainId,
  SceneId,
  SliceId,
  WithdrawalId,
} from '../vocabulary/ids.ts';
import type { InstantMs } from '../vocabulary/instant.ts';
import type { Order, SliceUnit } from '../vocabulary/order.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import type { Person } from '../vocabulary/person.ts';
import type { TokenStatus } from '../vocabulary/token-status.ts';

export * from './ports-reissue.ts';

// ───────────────────────────── GrantLog: the promise ─────────────────────────────

/** What one signature holds: the ciphertexts of a micro-batch, in the order of its orders. */
export interface BatchSeal {
  readonly keyId: number;
  /** 8 bytes, once per key; with the leaf's index (big-endian uint32) they are the GCM nonce. */
  readonly nonce: Uint8Array;
  /** AES-256-GCM of each token, 16-byte tag at the end. */
  readonly ciphertexts: readonly Uint8Array[];
  /** Ed25519 over the tree's head, 64 bytes. */
  readonly signature: Uint8Array;
}

/** A micro-batch on its way into the log. The orders stand in the clear too: recovery and crediting need no keys. */
export interface MicroBatch {
  readonly orders: readonly Order[];
  readonly seal: BatchSeal;
}

/** Position of a record in the log: 1, 2, 3 … without gaps. 0 stands before the first. */
export type LogSequence = number;

export interface LogPosition {
  readonly sequence: LogSequence;
  readonly leafIndex: number;
}

export type LogRecord =
  | ({ readonly kind: 'grants'; readonly sequence: LogSequence } & MicroBatch)
  /** What stands behind a fence with this slice and epoch (or an older one) is void: nobody was told "won". */
  | {
      readonly kind: 'fence';
      readonly sequence: LogSequence;
      readonly sliceId: SliceId;
      readonly epoch: number;
    };

/** The promises of one bucket (docs/decisions/0006); the embedded engine has a single one. */
export interface GrantLog {
  /**
   * Makes a micro-batch durable; resolves only after the fsync. Throws `RetryableFault('log-unavailable')` when the
   * log refuses (disk full, closed, failed): then nothing of the batch will ever be read from it, unless the fault's
   * kind is `outcome-unknown`.
   */
  append(batch: MicroBatch): Promise<LogSequence>;
  /** Durable as `append`; every append that was asked for before stands before it. */
  appendFence(unit: Pick<SliceUnit, 'sliceId' | 'epoch'>): Promise<LogSequence>;
  /** One record. Throws a plain Error when there is none. */
  at(sequence: LogSequence): Promise<LogRecord>;
  /** Resolves once everything up to here was acknowledged by whoever credits; rejects when the signal aborts. */
  untilDrained(sequence: LogSequence, signal: AbortSignal): Promise<void>;
  /** Whether an append would be accepted now; the reason when not. */
  health(): { readonly accepting: boolean; readonly reason?: string };
  close(): Promise<void>;
}

/** The same bucket for its one reader, 5-credit. */
export interface LogReader {
  /** Durable records after `after`, oldest first: whole records, stopping once `ordersMax` orders are reached. */
  read(after: LogSequence, ordersMax: number): Promise<readonly LogRecord[]>;
  /** The last durable record. */
  end(): LogSequence;
  /** Everything up to here is in the ledger; may be behind after a restart, never ahead. */
  drained(): LogSequence;
  /** Moves `drained` forward. Not fsynced: crediting again is harmless. */
  acknowledge(sequence: LogSequence): Promise<void>;
  /** Resolves once `end()` is beyond `after`, or when the signal aborts. */
  beyond(after: LogSequence, signal: AbortSignal): Promise<void>;
}

// ───────────────────────────── TokenBook: who has what ─────────────────────────────

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

/** The server's copy of the tokens: a cache of the log, never the promise itself. */
export interface TokenBook {
  /** Notes appended orders as outstanding. An order number that is there already stays as it is. */
  record(entries: readonly { readonly order: Order; readonly position: LogPosition }[]): Promise<void>;
  /** Moves tokens 1 → 2 → 8, never back; unknown numbers are passed over. A credited one leaves `outstandingOf`. */
  advance(orders: readonly Order[], status: TokenStatus): Promise<void>;
  /** This person's tokens that are not known to be credited (status 1 and 2). */
  outstandingOf(actId: ActId, phaseKey: PhaseKey): Promise<readonly BookEntry[]>;
  /** Every order of this person in the phase, credited or not. */
  winsOf(actId: ActId, phaseKey: PhaseKey): Promise<readonly Win[]>;
  /**
   * Whether what was read of this person before this call was all there is. False from the moment at which the book
   * may have forgotten something until it is filled again: what it has is true then, what it lacks says nothing.
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
  /** Whether nothing can have been lost or kept from the bucket since it was marked; and its state, for `markWhole`. */
  wholeness(bucket: number): Promise<{ readonly whole: boolean; readonly state: string }>;
  /** False, and nothing is marked, when the state is no longer the one that was seen. */
  markWhole(bucket: number, state: string): Promise<boolean>;
  /** Says that something was kept from the bucket: it is not whole until it was filled again. */
  tear(bucket: number): Promise<void>;
  /** What is not credited, of every phase, in no order; an entry that moves meanwhile may come twice. */
  pendingIn(bucket: number): AsyncIterable<BookEntry>;
}

// ───────────────────────────── Ledger: the only room that moves money ─────────────────────────────

export interface Account {
  readonly actId: ActId;
  readonly phaseKey: PhaseKey;
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

export const WITHDRAWAL_STATES = ['requested', 'held', 'paying', 'paid', 'returned'] as const;
export type WithdrawalState = (typeof WITHDRAWAL_STATES)[number];

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

export interface Ledger {
  /**
   * Credits orders: one row each under the order number's key, one balance update per account, one funding posting
   * per slice and batch (accounts of slices are −sliceId). All or nothing, money and pieces each by itself: after a
   * fault one kind may be there and the other not. Orders may repeat, inside a batch too.
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
  /** Money only (pieces: `Awards`). Newest first, strictly behind the cursor. */
  records(account: Account, after: RecordCursor | undefined, limit: number): Promise<readonly LedgerRecord[]>;
  /**
   * Credits `force`, but for orders of fenced slices, then holds the amount, in one transaction. The same key and payload again gives the first answer
   * with `replayed`. Refuses with insufficient-balance, idempotency-key-reused or idempotency-in-flight; a refusal
   * moves nothing (the forced credits neither).
   */
  hold(
    request: WithdrawalRequest,
  ): Promise<{ readonly withdrawal: Withdrawal; readonly replayed: boolean } | Refusal>;
  withdrawal(account: Account, id: WithdrawalId): Promise<Withdrawal | undefined>;
  /** The withdrawal that has this key, if there is one; idempotency-key-reused when it was for something else. */
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
  health(): Promise<{ readonly reachable: boolean; readonly reason?: string }>;
  close(): Promise<void>;
}

/** The ledger's pieces: credited like money (purse 6), handed out by downstreams behind it. */
export interface Awards {
  /** All pieces of this person in the phase, newest first (drawn, then order number). */
  awards(account: Account): Promise<readonly Award[]>;
  award(account: Account, orderNumber: OrderNumber): Promise<Award | undefined>;
  /** Pieces that are granted or asking and due, those that have waited longest first; of these scenes, or of all. */
  dueAwards(nowMs: InstantMs, limit: number, scenes?: readonly SceneId[]): Promise<readonly Award[]>;
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

// ───────────────────────────── Allotments: exact budgets, seed slices ─────────────────────────────

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
  /** Slices that are not closed: `open` ones may still be granted from, `fenced` ones wait for their tally. */
  unclosed(): Promise<
    readonly { readonly slice: Slice; readonly holder: string; readonly state: 'open' | 'fenced' }[]
  >;
  fence(slice: Pick<Slice, 'sliceId' | 'epoch'>): Promise<void>;
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

// ───────────────────────────── ControlStore: what control remembers ─────────────────────────────

export interface StoredCampaign {
  readonly id: CampaignId;
  readonly version: number;
  readonly contentHash: string;
  /** The campaign file as it was applied. */
  readonly source: string;
  readonly phaseKeys: ReadonlyMap<PhaseId, PhaseKey>;
}

export interface UpstreamCredential {
  readonly name: string;
  readonly campaignId: CampaignId;
  readonly scenes: ReadonlySet<SceneId>;
}

/** What became of the wish to bind a phone number. `kept`: the person has another one. `of-another`: both have one. */
export const PHONE_OUTCOMES = ['known', 'bound', 'replaced', 'joined', 'kept', 'of-another'] as const;
export type PhoneOutcome = (typeof PHONE_OUTCOMES)[number];

/** The id that (app, user) was given at first, which never changes, and the person whose it is by now. */
export interface Known {
  readonly given: ActId;
  readonly person: Person;
}

export interface PhoneBinding extends Known {
  readonly outcome: PhoneOutcome;
}

export interface ControlStore {
  /**
   * Who (app, user) is: the same person again whenever it is asked, and a new one at the first asking. `userKey` is a
   * keyed hash of (app, user): no user id is stored.
   */
  personFor(appId: AppId, userKey: Uint8Array): Promise<Known>;
  /** Who an id is by now, be it the person's own or an alias. */
  personOf(actId: ActId): Promise<Person>;
  /**
   * Binds a phone number (its keyed hash) to (app, user), who may be new, and joins persons by it. One transaction;
   * repeats change nothing. `mayReplace`: a person who has another number gets this one, if nobody has it.
   */
  bindPhone(
    appId: AppId,
    userKey: Uint8Array,
    phoneKey: Uint8Array,
    mayReplace: boolean,
  ): Promise<PhoneBinding>;
  /** Persons who were joined since `mark`, as they are now; and the mark for the next asking. A person may come twice. */
  joinedSince(
    mark: string | undefined,
  ): Promise<{ readonly mark: string; readonly persons: readonly Person[] }>;
  /** Aliases, rising, strictly behind `after`. */
  aliases(
    after: ActId | undefined,
    limit: number,
  ): Promise<readonly { readonly alias: ActId; readonly actId: ActId }[]>;
  /** Stores a new version unless the newest has the same content; phase keys are given once and kept. */
  storeCampaign(campaign: {
    id: CampaignId;
    contentHash: string;
    source: string;
    phases: readonly PhaseId[];
  }): Promise<StoredCampaign>;
  campaigns(): Promise<readonly StoredCampaign[]>;
  /** The newest envelope that was announced. */
  announcement(): Promise<{ readonly sequence: number; readonly envelope: Uint8Array } | undefined>;
  /** Keeps a new envelope; false, and nothing is changed, when there is one of this sequence already. */
  putAnnouncement(sequence: number, envelope: Uint8Array): Promise<boolean>;
  /** The database's clock, which every process of a cluster follows. */
  nowMs(): Promise<InstantMs>;
  /** Secrets are stored as SHA-256 only. Adding a name again replaces it. */
  putUpstream(credential: UpstreamCredential, secretHash: Uint8Array): Promise<void>;
  upstreamBySecret(secretHash: Uint8Array): Promise<UpstreamCredential | undefined>;
  /** Makes a setup token spendable. Offering a spent one changes nothing. */
  offerSetupToken(tokenHash: Uint8Array): Promise<void>;
  /** Uses up an offered setup token, and with it every other one; true exactly once. */
  spendSetupToken(tokenHash: Uint8Array, operator: { name: string; keyHash: Uint8Array }): Promise<boolean>;
  operatorByKey(keyHash: Uint8Array): Promise<{ readonly name: string } | undefined>;
  /** How many operators there are; the setup token is printed while there is none. */
  operatorCount(): Promise<number>;
}

// ───────────────────────────── Signals: what control announces ─────────────────────────────

/**
 * One way by which control's signed announcements reach every process. Several carry the same ones side by side: the
 * first to bring a higher sequence wins, repeats and old ones are ignored by whoever reads.
 */
export interface Signals {
  readonly name: string;
  publish(envelope: Uint8Array, sequence: number): Promise<void>;
  /** The newest that this way knows. */
  latest(): Promise<Uint8Array | undefined>;
  /** Told of each that comes by, old and repeated ones too; gives back how to end it. */
  subscribe(onEnvelope: (envelope: Uint8Array) => void): () => void;
  close(): Promise<void>;
}

// ───────────────────────────── HotTotals: the number on everybody's screen ─────────────────────────────

/** What was given in a phase: money (pieces are none), and packets of every kind. */
export interface HotTotal {
  readonly fen: Fen;
  readonly packets: number;
}

/**
 * What all instances together have given. Each has a running sum of its own, which only grows, and tells it as a whole
 * (a G-counter): telling it again after a time-out changes nothing. Readers look into local memory only.
 */
export interface HotTotals {
  /** Adds to this instance's own sum. Memory only; never throws, never waits. */
  add(phaseKey: PhaseKey, given: HotTotal): void;
  /** Sets this instance's own sum after a restart, from what it knows durably; never lowers it. */
  restore(phaseKey: PhaseKey, given: HotTotal): void;
  /**
   * The largest total that is known here; never less than was read here before, at most a second old while an engine
   * answers. The first look at a phase waits for data, for a bounded time, and then throws
   * `RetryableFault('totals-unavailable')`; every other one is answered from memory.
   */
  read(phaseKey: PhaseKey): Promise<HotTotal>;
  /** Tells what is not told yet, if an engine answers. */
  close(): Promise<void>;
}

// ───────────────────────────── Connector: pieces out of the house ─────────────────────────────

/** What a downstream's answer means, whatever it looks like there. */
export type FulfilAnswer =
  | { readonly answer: 'fulfilled'; readonly voucher?: string }
  /** Final: it was not handed out and never will be. */
  | { readonly answer: 'rejected'; readonly reason: string }
  /** It was certainly not handed out; asking for it again may help. */
  | { readonly answer: 'failed'; readonly reason: string }
  /** Being worked on. Ask about it again. */
  | { readonly answer: 'processing' }
  /** No such order was ever received. */
  | { readonly answer: 'unheard-of' }
  /**
   * A time-out, a cut connection, an answer that can't be read: nothing is known. Never treated as failed.
   * `isThere`: somebody did answer, so what is not understood is no sign of the downstream being away.
   */
  | { readonly answer: 'unknown'; readonly reason: string; readonly isThere?: boolean };

/** A piece as a downstream is asked for it. */
export interface FulfilAsk {
  /** The downstream's idempotency key, whoever asks and however often. */
  readonly orderNumber: OrderNumber;
  /** An order number is unique in its phase: a downstream of several campaigns needs both to tell pieces apart. */
  readonly phaseKey: PhaseKey;
  /** The downstream's own name of the piece. */
  readonly item: string;
  readonly actId: ActId;
  readonly worthFen: Fen;
}

export interface Connector {
  readonly name: string;
  /** Asks for the piece; the same order number again is the same piece. Never throws. */
  give(ask: FulfilAsk): Promise<FulfilAnswer>;
  /** What became of it. Never throws. */
  query(ask: FulfilAsk): Promise<FulfilAnswer>;
}

// ───────────────────────────── Payout: money out of the house ─────────────────────────────

export type PayoutAnswer =
  | { readonly answer: 'paid' }
  /** Final: it was not paid and never will be. */
  | { readonly answer: 'rejected'; readonly reason: string }
  /** Being worked on. Ask again. */
  | { readonly answer: 'processing' }
  /** No such payout was ever received. */
  | { readonly answer: 'unheard-of' }
  /** A time-out, a cut connection, a 5xx: nothing is known. Never treated as failed. */
  | { readonly answer: 'unknown'; readonly reason: string };

export interface Payout {
  /** Asks for a payment under the withdrawal's id; the same id again is the same payment. Never throws. */
  pay(withdrawal: Withdrawal): Promise<PayoutAnswer>;
  /** What became of it. Never throws. */
  query(withdrawal: Withdrawal): Promise<PayoutAnswer>;
}
