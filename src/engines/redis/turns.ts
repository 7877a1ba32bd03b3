import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type BackOff, backOffMs } from '../../rules/back-off.ts';
import type { ActId } from '../../vocabulary/ids.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import { personBytes } from './book-codec.ts';
import type { RedisClient } from './client.ts';
import { createGatherer } from './gatherer.ts';

/** In ms. */
export interface TurnTimes {
  /** How long a turn lasts if nobody gives it back. */
  readonly turnMs?: number;
  /** How long it takes at most to promise an order and to note it; leave some of `turnMs` for what comes before. */
  readonly promiseMs?: number;
  /** For how long another process's turn is waited for; longer than one lasts, which is for how long a dead one has it. */
  readonly waitMs?: number;
}

export interface RedisTurnsOptions extends TurnTimes {
  readonly client: RedisClient;
  /** From 0 up to 1: spreads those who ask again. */
  readonly random: () => number;
}

export interface RedisTurn {
  /** The person's wins when it was taken, as the book packs them; undefined when there are none. */
  readonly wins: Buffer | undefined;
  lasts(): boolean;
  endsWith(orderNumber: OrderNumber): void;
  giveBack(): void;
}

export interface RedisTurns {
  /** `key` is that of the wins. Undefined when another process had it all the time. */
  take(key: string, actId: ActId): Promise<RedisTurn | undefined>;
  /** For a `record` of these orders: which turns end with it, and what to do when it was done. */
  endingWith(orderNumbers: readonly OrderNumber[]): { readonly packed: Buffer; readonly done: () => void };
  /** Names this process to the functions. */
  readonly holder: Buffer;
}

const TURN_MS = 4_000;
/** The log's deadline (2 s), and the note. */
const PROMISE_MS = 2_500;
/** A grant takes some milliseconds, so whoever meets one asks again soon; and at last ten times a second. */
const PAUSE: BackOff = { firstMs: 4, maxMs: 100 };
/** What is recorded says for how long its hash is kept; until then this does. */
const EMPTY_HASH_MS = 3_600_000;
const HOLDER_BYTES = 8;
const PERSON_BYTES_MAX = 8;
const NUMBER_BYTES = 4;
const NUMBERS = 2 ** 32;
const NOTHING = Buffer.alloc(0);

interface Named {
  readonly actId: ActId;
  /** Which of this process's turns; tells one that was given back late from the next. */
  readonly number: number;
}

/**
 * People's turns among the processes of a cluster (functions/turns.lua). They are weak: Redis may forget one when a
 * replica takes over, and then two processes go on at once, as they do without a book.
 */
export function createRedisTurns(options: RedisTurnsOptions): RedisTurns {
  const { client, random, turnMs = TURN_MS, promiseMs = PROMISE_MS, waitMs = turnMs + 1_000 } = options;
  const holder = randomBytes(HOLDER_BYTES);
  const ending = new Map<OrderNumber, { readonly named: Named; readonly done: () => void }>();
  let turnsTaken = 0;

  const ask = createGatherer(
    (key, named: readonly Named[]) =>
      client.invoke('take_turns', [key], [pack(named), holder, turnMs, EMPTY_HASH_MS]) as Promise<
        (Buffer | number)[]
      >,
  );
  const release = createGatherer(async (key, named: readonly Named[]) => {
    await client.invoke('give_turns', [key], [pack(named), holder]);
    return named;
  });

  function turnOf(key: string, named: Named, askedAtMs: number, wins: Buffer): RedisTurn {
    let isEnded = false;
    let endsWith: OrderNumber | undefined;
    const done = (): void => {
      isEnded = true;
      if (endsWith !== undefined && ending.get(endsWith)?.named === named) ending.delete(endsWith);
    };
    return {
      wins: wins.length === 0 ? undefined : wins,
      // Redis began to count after we had asked.
      lasts: () => performance.now() + promiseMs < askedAtMs + turnMs,
      endsWith(orderNumber) {
        endsWith = orderNumber;
        ending.set(orderNumber, { named, done });
      },
      giveBack() {
        if (isEnded) return;
        done();
        // If it gets lost, the turn runs out by itself.
        release(key, named).catch(() => {});
      },
    };
  }

  return {
    holder,
    async take(key, actId) {
      const untilMs = performance.now() + waitMs;
      for (let failures = 0; ; failures += 1) {
        const askedAtMs = performance.now();
        turnsTaken = (turnsTaken + 1) % NUMBERS;
        const named = { actId, number: turnsTaken };
        const answer = await ask(key, named);
        if (typeof answer !== 'number') return turnOf(key, named, askedAtMs, answer);
        if (performance.now() >= untilMs) return undefined;
        await delay(Math.min(answer + 1, backOffMs(PAUSE, failures, random())));
      }
    },
    endingWith(orderNumbers) {
      if (ending.size === 0) return { packed: NOTHING, done: () => {} };
      const some = orderNumbers.flatMap((orderNumber) => ending.get(orderNumber) ?? []);
      return {
        packed: pack(some.map(({ named }) => named)),
        done() {
          for (const one of some) one.done();
        },
      };
    },
  };
}

/** (u8 length | person | u32 number)*, as functions/turns.lua reads it. */
function pack(named: readonly Named[]): Buffer {
  const bytes = Buffer.allocUnsafe(named.length * (1 + PERSON_BYTES_MAX + NUMBER_BYTES));
  let at = 0;
  for (const { actId, number } of named) {
    const person = personBytes(actId);
    at = bytes.writeUInt8(person.length, at);
    at += person.copy(bytes, at);
    at = bytes.writeUInt32BE(number, at);
  }
  return bytes.subarray(0, at);
}
