import { setTimeout as delay } from 'node:timers/promises';
import type { Account, CreditedOrder, GrantLog, KnownWin, KnownWins, Ledger } from '../engines/ports.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { bucketOf } from '../vocabulary/bucket.ts';
import type { ActId, PhaseKey } from '../vocabulary/ids.ts';
import { eachOnce } from '../vocabulary/order.ts';
import { parseOrderNumber } from '../vocabulary/order-number.ts';
import { gather } from './gather.ts';

export interface CreditedWinsOptions {
  /** Of each bucket. */
  readonly logs: readonly Pick<GrantLog, 'endNow' | 'untilDrained' | 'health'>[];
  readonly ledger: Pick<Ledger, 'creditedOrdersOf'>;
  readonly monotonicMs: () => number;
  /** For how long crediting, and then the ledger, are waited for. Default 1,000 ms. */
  readonly patienceMs?: number;
}

/** What stands in for a book that is away, or may have forgotten something. */
export interface CreditedWins {
  /**
   * What the book says of this person, and what the ledger has beside it, if that is needed: the book can't vouch, or
   * the log is down, or was a moment ago, and what was won went straight into the ledger. All there is when the ledger
   * has everything that stood in the bucket's log at the call; it is waited for a moment, which is enough unless
   * crediting is held back.
   */
  beside(actId: ActId, phaseKey: PhaseKey, book: KnownWins): Promise<KnownWins>;
}

const PATIENCE_MS = 1_000;
/** A bucket that was waited for in vain is not waited for again so soon. */
const AGAIN_MS = 1_000;
/**
 * Longer than all gateways take to find that a log is back, to replay what they had credited without it, and to tear the
 * book that has not heard of it: until then a whole book lacks it.
 */
const REPLAYED_MS = 10_000;

/**
 * Without the book the truth is the log, and who credits it writes it down by person: so the ledger is asked, once it
 * has caught up. Slower than the book by a credit's way, and asked only while the book can't vouch.
 */
export function createCreditedWins(options: CreditedWinsOptions): CreditedWins {
  const { logs, ledger, monotonicMs, patienceMs = PATIENCE_MS } = options;
  const caughtUp = logs.map(catcherUp);
  const downAtMs = logs.map(() => Number.NEGATIVE_INFINITY);
  /** A bucket lies on one shard: who asks together with others waits for no shard but theirs. */
  const creditedOrdersOf = logs.map(() => gather(ledger.creditedOrdersOf));

  /** Tells whether the ledger has all that the log held when it was asked: once for all who ask side by side. */
  function catcherUp(log: (typeof logs)[number]): () => Promise<boolean> {
    let failedAtMs = Number.NEGATIVE_INFINITY;
    const catchUp = gather<void, boolean>(async (asked) => {
      const signal = AbortSignal.timeout(patienceMs);
      const isDone = await log
        .endNow()
        .then((end) => log.untilDrained(end, signal))
        .then(() => true)
        .catch((error: unknown) => (signal.aborted ? false : (awayToo(error) ?? false)));
      if (!isDone) failedAtMs = monotonicMs();
      return asked.map(() => isDone);
    });
    return async () => monotonicMs() - failedAtMs >= AGAIN_MS && (await catchUp());
  }

  /** Whether orders may have been credited without the log that are not in the log yet, nor in a whole book. */
  function maySkipTheLog(bucket: number): boolean {
    if (!logs[bucket]!.health().accepting) downAtMs[bucket] = monotonicMs();
    return monotonicMs() - downAtMs[bucket]! < REPLAYED_MS;
  }

  async function read(account: Account, bucket: number): Promise<readonly KnownWin[] | undefined> {
    const orders = creditedOrdersOf[bucket]!(account);
    const found = await Promise.race([orders, delay(patienceMs, undefined, { ref: false })]).catch(awayToo);
    return found?.map(winOf);
  }

  return {
    async beside(actId, phaseKey, book) {
      const bucket = bucketOf(actId, logs.length);
      if (!maySkipTheLog(bucket) && book.isAll) return book;
      const isCaughtUp = book.isAll || (await caughtUp[bucket]!());
      const wins = await read({ actId, phaseKey }, bucket);
      // Of two with one number the book's: it knows the place.
      return wins ? { wins: eachOnce([...book.wins, ...wins]), isAll: isCaughtUp } : book;
    },
  };
}

/** The log or the ledger is away as well: nobody knows. */
function awayToo(error: unknown): undefined {
  if (!(error instanceof RetryableFault)) throw error;
}

function winOf(content: CreditedOrder): KnownWin {
  const { orderNumber } = content;
  const { sceneId, rainId } = parseOrderNumber(orderNumber)!;
  return { orderNumber, sceneId, rainId, content };
}
