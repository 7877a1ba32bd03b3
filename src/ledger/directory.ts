import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { asFault, isAway, type RetryOptions, retryDelayMs } from '../engines/postgres/retryable.ts';
import type { ShardAddress, ShardPlan } from '../engines/postgres/shard-map/index.ts';
import { RetryableFault } from '../protocol/failures.ts';
import { createGate, ShardAway } from './gate.ts';
import { createLedger, type OneLedger } from './one.ts';

export interface DirectoryOptions {
  /** The plan in control's database; undefined before the founding. */
  readonly readPlan: () => Promise<ShardPlan | undefined>;
  /** A pool of its own for each shard: what waits for one holds up no other. */
  readonly openPool: (shard: ShardAddress) => Pool;
  readonly retry: RetryOptions;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
  /** Calls to one shard at once, waiting ones included. */
  readonly callsMax?: number;
  /** How long a shard that failed is left alone before the next try; ms. */
  readonly shutMs?: number;
}

export interface Shard extends ShardAddress {
  /** Its ledger, behind its gate; asked again by itself while the gate is open. */
  ask<Result>(act: (ledger: OneLedger) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** Which shards there are and, as far as this process knows, who holds which bucket. */
export interface Directory {
  readonly buckets: number;
  shards(): readonly Shard[];
  shardOf(bucket: number): Shard;
  /**
   * Reads the plan and asks every shard what it holds: the shard's own word counts more. With `plan: 'needed'` it
   * throws when control can't be read; else it does with what the shards say.
   */
  refresh(plan: 'needed' | 'welcome'): Promise<void>;
  /** Milliseconds since the plan was last read. */
  ageMs(): number;
  close(): Promise<void>;
}

const CALLS_MAX = 500;
const QUIET_MS = 300;
const SHUT_MS = 1_000;
const ANSWER_MS = 1_000;

/** Throws a RetryableFault when the plan can't be read, and a plain Error when there is none yet. */
export async function openDirectory(options: DirectoryOptions): Promise<Directory> {
  const founded = await options.readPlan();
  if (!founded) throw new Error('There is no plan of the ledger’s shards yet. Found the cluster first.');
  const { buckets } = founded;
  let shards = new Map<string, Shard>();
  let placement = new Map<number, string>();
  let readAtMs = 0;
  take(founded);

  function take(plan: ShardPlan): void {
    const next = new Map<string, Shard>();
    for (const address of plan.shards) {
      const known = shards.get(address.name);
      next.set(address.name, known?.url === address.url ? known : openShard(address, buckets, options));
    }
    for (const shard of shards.values()) if (next.get(shard.name) !== shard) void shard.close();
    shards = next;
    placement = new Map(plan.placement);
    readAtMs = options.monotonicMs();
  }

  async function readAgain(needed: boolean): Promise<void> {
    try {
      const plan = await options.readPlan();
      if (plan) take(plan);
    } catch (error) {
      if (needed || !(error instanceof RetryableFault)) throw error;
      options.logger.warn(
        { reason: error.message },
        'the plan of the shards can’t be read; the shards are asked',
      );
    }
    const answers = Promise.allSettled(
      [...shards.values()].map(async (shard) => {
        for (const bucket of await shard.ask((ledger) => ledger.heldBuckets()))
          placement.set(bucket, shard.name);
      }),
    );
    // Who hangs is not waited for: an answer that comes too late is another look, no harm.
    await Promise.race([answers, delay(ANSWER_MS, undefined, { ref: false })]);
  }

  /** One look at a time; whoever asks during one gets the next, which began after he asked. */
  let looking: Promise<unknown> = Promise.resolve();
  let queued: { readonly needed: boolean; readonly look: Promise<void> } | undefined;
  function refresh(needed: boolean): Promise<void> {
    if (queued && (queued.needed || !needed)) return queued.look;
    const look = looking.then(() => {
      if (queued?.look === look) queued = undefined;
      return readAgain(needed);
    });
    queued = { needed, look };
    looking = look.catch(() => {});
    return look;
  }

  return {
    buckets,
    shards: () => [...shards.values()],
    shardOf: (bucket) => shards.get(placement.get(bucket)!)!,
    refresh: (plan) => refresh(plan === 'needed'),
    ageMs: () => options.monotonicMs() - readAtMs,
    close: async () => void (await Promise.all([...shards.values()].map((shard) => shard.close()))),
  };
}

function openShard(address: ShardAddress, buckets: number, options: DirectoryOptions): Shard {
  const gate = createGate(address.name, {
    callsMax: options.callsMax ?? CALLS_MAX,
    quietMs: QUIET_MS,
    shutMs: options.shutMs ?? SHUT_MS,
    monotonicMs: options.monotonicMs,
    isAway,
  });
  // Each try goes through the gate, so that the gate learns of every one; the retries stand before it.
  const once = { ...options.retry, tries: 1 };
  const ledger = createLedger({ pool: options.openPool(address), retry: once, buckets });
  let isClosed = false;
  return {
    name: address.name,
    url: address.url,
    async ask(act) {
      for (let tried = 1; ; tried += 1) {
        try {
          return await gate.run(() => act(ledger));
        } catch (error) {
          // The shard has another address by now. Whatever is wrong with the act itself shows there, too.
          if (isClosed)
            throw new RetryableFault('ledger-unavailable', `ledger shard ${address.name} has moved`, 50, {
              cause: error,
            });
          const delayMs = retryDelayMs(error);
          const isLast = tried >= options.retry.tries || gate.reason() !== undefined;
          if (delayMs === undefined || isLast || error instanceof ShardAway) throw asFault(error);
          await options.retry.sleepMs(Math.ceil(options.retry.random() * delayMs * 2 ** (tried - 1)));
        }
      }
    },
    close() {
      isClosed = true;
      return ledger.close();
    },
  };
}
