import type { Subscription } from '@nats-io/transport-node';
import { type Assignment, takeTurn, withoutMember } from './assignment.ts';
import { openAssignmentStore } from './assignment-store.ts';
import type { NatsLink } from './connection.ts';
import { mayPass } from './faults.ts';
import { createHoldings, type OpenBucket } from './holdings.ts';
import { ownersSubject } from './names.ts';
import { createVigil } from './vigil.ts';

export interface OwnershipOptions {
  readonly link: NatsLink;
  readonly space: string;
  readonly buckets: number;
  readonly replicas: number;
  /** Of this start of the process: never used before, by nobody else. */
  readonly memberId: string;
  /** A member that has not been heard for so long is dead, and its buckets go to others. */
  readonly ttlMs?: number;
  /** Begins to credit a bucket. What it throws gives the bucket back; it is tried again. */
  readonly open: OpenBucket;
  /** Something that no waiting mends: a wrong number of buckets, a message that is no record. */
  readonly onFatal: (error: unknown) => void;
}

export interface OwnershipKeeper {
  /** Resolves after the first turn, or when it has failed for now; goes on until `stop`. */
  start(): Promise<void>;
  /** Puts everything down, tells the others, leaves. */
  stop(): Promise<void>;
  /** Buckets that are open here, by bucket. */
  owned(): ReadonlyMap<number, { readonly epoch: number }>;
  /** How many members there are; 0 before the first turn. */
  members(): number;
}

const TTL_MS = 6_000;
/** Turns in the time that a lease lasts: some may fail. */
const TURNS_A_TTL = 4;
/** A holder stops before others may take over, by this part of the time. */
const SAFE_PART = 0.75;
const CONFLICT_PAUSE_MS = 20;

/**
 * Spreads the buckets over the living creditors and keeps every bucket with one owner at a time. Whether others live
 * is judged by one's own monotonic clock and the beats that they write, so no clock has to agree with another. That
 * two believe they own a bucket can't be ruled out by clocks at all (a frozen process wakes): then the epoch of the
 * consumer decides, see takeover.ts.
 */
export async function createOwnership(options: OwnershipOptions): Promise<OwnershipKeeper> {
  const { link, memberId: me } = options;
  const { clock, logger } = link;
  const ttlMs = options.ttlMs ?? TTL_MS;
  const store = await openAssignmentStore(link, options);
  const vigil = createVigil(ttlMs);
  const holdings = createHoldings({
    open: options.open,
    logger,
    onFatal: options.onFatal,
    confirm: async (bucket, epoch) => {
      const owner = (await store.read()).assignment.owners[bucket];
      return owner?.holder === me && owner.epoch === epoch;
    },
    onChange: () => hurry(),
  });
  let expiry: NodeJS.Timeout | undefined;
  let members = 0;
  let leaving = false;
  let left = false;
  let timer: NodeJS.Timeout | undefined;
  let turning: Promise<void> | undefined;
  let again = false;
  let told: Subscription | undefined;
  let onLeft = () => {};

  /** Turns now, or once more when a turn is under way. */
  function hurry(): void {
    if (turning) again = true;
    else void turn();
  }

  function turn(): Promise<void> {
    clearTimeout(timer);
    again = false;
    turning = tryToTurn().finally(() => {
      turning = undefined;
      if (left) return onLeft();
      timer = setTimeout(turn, again ? CONFLICT_PAUSE_MS : ttlMs / TURNS_A_TTL);
    });
    return turning;
  }

  async function tryToTurn(): Promise<void> {
    try {
      await takeOneTurn();
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'the owners could not be asked');
      if (!mayPass(error)) options.onFatal(error);
      // Nobody can be told; the others find out by themselves.
      if (leaving && holdings.isDone()) left = true;
    }
  }

  async function takeOneTurn(): Promise<void> {
    const startedMs = clock.monotonicMs();
    const { assignment, revision } = await store.read();
    if (leaving && holdings.isEmpty()) return leave(assignment, revision);
    const released = holdings.released();
    const move = takeTurn(assignment, {
      me,
      leaving,
      dead: vigil.look(assignment.members, me, startedMs),
      released,
      busy: holdings.busy(),
      epochsSeen: holdings.epochsSeen(),
    });
    if (!(await store.write(move.next, revision))) {
      again = true;
      return;
    }
    extendLease(startedMs);
    members = Object.keys(move.next.members).length;
    holdings.settle(move.mine, released);
    for (const bucket of move.surplus) holdings.putDown(bucket);
    if (move.concernsOthers) tellOthers();
    // What was given back may still be mine to take, if nobody else does; and the last word is still to be said.
    again ||= released.size > 0 || (leaving && holdings.isEmpty());
  }

  /** The lease lasts from the moment before it was asked for. */
  function extendLease(startedMs: number): void {
    clearTimeout(expiry);
    const leftMs = startedMs + ttlMs * SAFE_PART - clock.monotonicMs();
    expiry = setTimeout(() => holdings.loseAll('its lease has run out'), leftMs);
  }

  async function leave(assignment: Assignment, revision: number): Promise<void> {
    left = await store.write(withoutMember(assignment, me), revision);
    again = !left;
    if (left) tellOthers();
  }

  const tellOthers = (): void => link.nc.publish(ownersSubject(options.space), me);

  return {
    start() {
      told = link.nc.subscribe(ownersSubject(options.space), {
        callback: (error, message) => {
          if (!error && message.string() !== me) hurry();
        },
      });
      return turn();
    },
    async stop() {
      if (leaving) return;
      leaving = true;
      const gone = new Promise<void>((resolve) => {
        onLeft = resolve;
      });
      hurry();
      await gone;
      told?.unsubscribe();
      clearTimeout(timer);
      clearTimeout(expiry);
    },
    owned: holdings.owned,
    members: () => members,
  };
}
