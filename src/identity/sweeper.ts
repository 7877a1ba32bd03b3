import type { Logger } from 'pino';
import type { ControlStore, Ledger } from '../engines/ports.ts';
import { createPauses } from '../guard/pauses.ts';
import { RetryableFault } from '../protocol/failures.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { ActId } from '../vocabulary/ids.ts';
import type { Clock } from '../vocabulary/instant.ts';
import type { Person } from '../vocabulary/person.ts';

export interface SweeperOptions {
  readonly store: Pick<ControlStore, 'aliases'>;
  readonly ledger: Pick<Ledger, 'fundedAmong' | 'moveBalance'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onMoved: (amountFen: Fen) => void;
  readonly onFatal: (error: unknown) => void;
  /** Between two pages of aliases, ms. */
  readonly everyMs?: number;
  /** Aliases that are looked at together. */
  readonly pageMax?: number;
}

/** Moves what lies in aliases' accounts to their persons'. Nobody waits for it: a wallet shows the same before and after. */
export interface Sweeper {
  /** Looks at the aliases again and again; of control, one is enough, and several do no harm. */
  start(): void;
  /** Ends what is under way; what is not done yet the next one finds. */
  stop(): Promise<void>;
  /** Somebody was joined right now: does not wait for the next round. */
  take(person: Person): void;
  /** One page; the number of accounts that had something. Runs by itself; exported for tests. */
  sweepPage(): Promise<number>;
}

const EVERY_MS = 1_000;
const PAGE_MAX = 1_000;

export function createSweeper(options: SweeperOptions): Sweeper {
  const { store, ledger, logger } = options;
  const pauses = createPauses();
  const jobs = new Set<Promise<void>>();
  let running: Promise<void> = Promise.resolve();
  let reached: ActId | undefined;

  async function moveFor(
    pairs: readonly { readonly alias: ActId; readonly actId: ActId }[],
  ): Promise<number> {
    const rootOf = new Map(pairs.map(({ alias, actId }) => [alias, actId]));
    const funded = await ledger.fundedAmong([...rootOf.keys()]);
    for (const account of funded) {
      const movedFen = await ledger.moveBalance(account, rootOf.get(account.actId)!, options.clock.now());
      if (movedFen > 0n) options.onMoved(movedFen);
    }
    return funded.length;
  }

  async function sweepPage(): Promise<number> {
    const page = await store.aliases(reached, options.pageMax ?? PAGE_MAX);
    reached = page.at(-1)?.alias;
    return page.length === 0 ? 0 : moveFor(page);
  }

  const onFailed = (error: unknown): void => {
    if (!(error instanceof RetryableFault)) options.onFatal(error);
    else logger.warn({ reason: error.message }, 'the money of aliases is moved later');
  };

  async function run(): Promise<void> {
    while (!pauses.stopped) {
      await sweepPage().catch(onFailed);
      await pauses.pause(options.everyMs ?? EVERY_MS);
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
      await Promise.all(jobs);
    },
    take({ actId, aliases }) {
      if (pauses.stopped) return;
      const job = moveFor(aliases.map((alias) => ({ alias, actId })))
        .then(() => {}, onFailed)
        .finally(() => jobs.delete(job));
      jobs.add(job);
    },
    sweepPage,
  };
}
