import type { HotTotals, Ledger } from '../../engines/ports.ts';
import { createPauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';

export interface CreditedTotal {
  start(): void;
  /** Asks the ledger once. Throws its fault when no database of it answers. */
  askOnce(): Promise<void>;
  stop(): Promise<void>;
}

export interface CreditedTotalDeps {
  readonly ledger: Pick<Ledger, 'creditedSums'>;
  readonly totals: Pick<HotTotals, 'confirm'>;
  /** Whether it is this process's turn to ask: one of a cluster is enough. */
  readonly asks: () => boolean;
  readonly monotonicMs: () => number;
  readonly onBug: (error: unknown) => void;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 1_000;
/** The answer takes longer the more was credited, and the ledger has better things to do: a twentieth of its time. */
const SHARE = 20;
/**
 * What it takes is the least of so many looks: a look that hung on something that was frozen says nothing about the
 * ledger's work, and twenty times as long would leave the total wrong for minutes after all is well again.
 */
const LOOKS = 8;

/**
 * Makes the total exact in the end. Instances count what is certainly given for the first time, at once; what none of
 * them could count (its process was killed, its outcome was unknown, the book was away) the ledger has once it is
 * credited: never more than was given, and at rest exactly that.
 */
export function createCreditedTotal(deps: CreditedTotalDeps): CreditedTotal {
  const { ledger, totals } = deps;
  const pauses = createPauses();
  let running: Promise<void> = Promise.resolve();

  async function askOnce(): Promise<void> {
    for (const { phaseKey, database, credited } of await ledger.creditedSums())
      totals.confirm(phaseKey, database, credited);
  }

  async function run(): Promise<void> {
    const intervalMs = deps.intervalMs ?? INTERVAL_MS;
    const tookMs = [0];
    while (!pauses.stopped) {
      await pauses.pause(Math.max(intervalMs, SHARE * Math.min(...tookMs)));
      if (pauses.stopped || !deps.asks()) continue;
      const beganMs = deps.monotonicMs();
      await askOnce().catch((error: unknown) => {
        if (!(error instanceof RetryableFault)) deps.onBug(error);
      });
      tookMs.push(deps.monotonicMs() - beganMs);
      if (tookMs.length > LOOKS) tookMs.shift();
    }
  }

  return {
    start() {
      running = run();
    },
    askOnce,
    async stop() {
      pauses.stop();
      await running;
    },
  };
}
