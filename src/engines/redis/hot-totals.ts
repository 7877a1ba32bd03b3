import type { Logger } from 'pino';
import { RetryableFault } from '../../protocol/failures.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal, HotTotals } from '../ports.ts';
import { createTotalsExchange, type TotalsExchange } from './totals-exchange.ts';
import type { TotalsServer } from './totals-server.ts';

export interface RedisHotTotalsOptions {
  /** The primary, and the backup if there is one. */
  readonly servers: readonly TotalsServer[];
  /** Who tells; never used before. */
  readonly instance: string;
  readonly logger: Logger;
  /** From 0 up to 1: instances that started together do not ask together. */
  readonly random: () => number;
  /** How long the first look waits for data, in ms. */
  readonly waitMs?: number;
}

export interface RedisHotTotals extends HotTotals {
  status(): ReturnType<TotalsExchange['status']>;
}

/**
 * From the one who gave to the one who looks it is two turns at most, one to tell and one to ask: half a second each,
 * so that nobody is more than a second behind.
 */
export const TURN_MS_MAX = 490;
export const TURN_MS_MIN = 440;
const WAIT_MS = 2_000;
const ASK_AGAIN_MS = 1_000;

/** Totals by Redis: each server has a loop of its own, and neither play nor a look ever waits for one. */
export function createRedisHotTotals(options: RedisHotTotalsOptions): RedisHotTotals {
  const exchange = createTotalsExchange(options);
  const waiting = new Set<() => void>();
  let isClosed = false;
  const loops = options.servers.map((_, server) =>
    createLoop({
      turn: () => exchange.turn(server).then(wake),
      pauseMs: () => TURN_MS_MIN + (TURN_MS_MAX - TURN_MS_MIN) * options.random(),
      onBug: (error) => options.logger.error({ err: error }, 'a turn of the totals failed'),
    }),
  );

  function wake(): void {
    for (const look of waiting) look();
  }

  /** Asks at once for a phase that nobody has asked for yet. */
  function firstOf(phaseKey: PhaseKey): Promise<HotTotal> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        waiting.delete(look);
      };
      const look = (): void => {
        const total = exchange.shown(phaseKey);
        if (!total) return;
        end();
        resolve(total);
      };
      const timer = setTimeout(() => {
        end();
        reject(
          new RetryableFault('totals-unavailable', 'no server of the totals has answered yet', ASK_AGAIN_MS),
        );
      }, options.waitMs ?? WAIT_MS);
      waiting.add(look);
      for (const loop of loops) loop.now();
    });
  }

  return {
    add: exchange.add,
    confirm: exchange.confirm,
    read: async (phaseKey) => exchange.shown(phaseKey) ?? firstOf(phaseKey),
    status: exchange.status,
    async close() {
      if (isClosed) return;
      isClosed = true;
      await Promise.all(loops.map((loop) => loop.stop()));
      if (exchange.status().untold > 0)
        await Promise.all(options.servers.map((_, server) => exchange.turn(server)));
    },
  };
}

/** Turns one behind another, never two at once, with a pause from the beginning of one to that of the next. */
function createLoop(deps: {
  turn: () => Promise<void>;
  pauseMs: () => number;
  onBug: (error: unknown) => void;
}) {
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let isStopped = false;
  let isOverdue = false;

  function run(): void {
    clearTimeout(timer);
    if (isStopped) return;
    if (working) {
      isOverdue = true;
      return;
    }
    isOverdue = false;
    timer = setTimeout(run, deps.pauseMs());
    timer.unref();
    working = deps
      .turn()
      .catch(deps.onBug)
      .finally(() => {
        working = undefined;
        if (isOverdue) run();
      });
  }
  run();
  return {
    now: run,
    async stop(): Promise<void> {
      isStopped = true;
      clearTimeout(timer);
      await working;
    },
  };
}
