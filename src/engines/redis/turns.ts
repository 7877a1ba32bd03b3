import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type BackOff, backOffMs } from '../../rules/back-off.ts';
import type { ActId } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';
import type { PersonTurn, Win } from '../ports.ts';
import { decodeWins, personBytes } from './book-codec.ts';
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

/** Of one bucket and phase. */
export interface TurnKeys {
  readonly wins: string;
  readonly mark: string;
  readonly tears: string;
}

export interface RedisTurns {
  /** Undefined when another process had the turn all the time. */
  take(keys: TurnKeys, actId: ActId): Promise<PersonTurn | undefined>;
  /** Those of our turns that end with a `record` of these orders. */
  endingWith(entries: readonly { readonly order: Order }[]): EndingTurns;
  /** Names this process to the functions. */
  readonly holder: Buffer;
}

export interface EndingTurns {
  /** (u8 length | person | u32 number)*, as functions/turns.lua reads it. */
  readonly packed: Buffer;
  /** Says that they have ended. */
  done(): void;
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
const IS_ALL = '1'.charCodeAt(0);

const NONE: EndingTurns = { packed: Buffer.alloc(0), done() {} };

/** Whose turn, and which of this process's: it tells one that is given back late from the next. */
interface Named {
  readonly person: Buffer;
  readonly number: number;
}

interface Asked extends Named {
  readonly keys: TurnKeys;
}

/** A person's packed wins, or for how many ms another process still has their turn. */
interface Reply {
  readonly answer: Buffer | number;
  readonly isAll: boolean;
}

/**
 * People's turns among the processes of a cluster (functions/turns.lua). They are weak: Redis may forget one when a
 * replica takes over, and then two processes go on at once, as they do without a book.
 */
export function createRedisTurns(options: RedisTurnsOptions): RedisTurns {
  const { client, random, turnMs = TURN_MS, promiseMs = PROMISE_MS, waitMs = turnMs + 1_000 } = options;
  const holder = randomBytes(HOLDER_BYTES);
  const ending = new Map<OrderNumber, Turn>();
  let turnsTaken = 0;

  const ask = createGatherer(async (wins, asked: readonly Asked[]): Promise<readonly Reply[]> => {
    const { mark, tears } = asked[0]!.keys;
    const args = [pack(asked), holder, turnMs, EMPTY_HASH_MS];
    const replies = (await client.invoke('take_turns', [wins, mark, tears], args)) as (Buffer | number)[];
    const all = replies.pop() as Buffer;
    return replies.map((answer, at) => ({ answer, isAll: all[at] === IS_ALL }));
  });
  const release = createGatherer(async (key, named: readonly Named[]) => {
    await client.invoke('give_turns', [key], [pack(named), holder]);
    return named;
  });

  class Turn implements PersonTurn, Named {
    private isEnded = false;
    private order: OrderNumber | undefined;

    constructor(
      private readonly key: string,
      readonly person: Buffer,
      readonly number: number,
      private readonly askedAtMs: number,
      readonly wins: readonly Win[],
      readonly isAll: boolean,
    ) {}

    /** Redis began to count after we had asked. */
    lasts(): boolean {
      return performance.now() + promiseMs < this.askedAtMs + turnMs;
    }

    endsWith(order: OrderNumber): void {
      this.order = order;
      ending.set(order, this);
    }

    giveBack(): void {
      if (this.isEnded) return;
      this.end();
      // If it gets lost, the turn runs out by itself.
      release(this.key, this).catch(() => {});
    }

    end(): void {
      this.isEnded = true;
      if (this.order !== undefined && ending.get(this.order) === this) ending.delete(this.order);
    }
  }

  return {
    holder,
    async take(keys, actId) {
      const person = personBytes(actId);
      const untilMs = performance.now() + waitMs;
      for (let failures = 0; ; failures += 1) {
        const askedAtMs = performance.now();
        turnsTaken = (turnsTaken + 1) % NUMBERS;
        const number = turnsTaken;
        const { answer, isAll } = await ask(keys.wins, { person, number, keys });
        if (typeof answer !== 'number')
          return new Turn(keys.wins, person, number, askedAtMs, decodeWins(answer, actId), isAll);
        if (performance.now() >= untilMs) return undefined;
        await delay(Math.min(answer + 1, backOffMs(PAUSE, failures, random())));
      }
    },
    endingWith(entries) {
      const turns: Turn[] = [];
      if (ending.size > 0)
        for (const { order } of entries) {
          const turn = ending.get(order.orderNumber);
          if (turn) turns.push(turn);
        }
      if (turns.length === 0) return NONE;
      return {
        packed: pack(turns),
        done() {
          for (const turn of turns) turn.end();
        },
      };
    },
  };
}

function pack(named: readonly Named[]): Buffer {
  const bytes = Buffer.allocUnsafe(named.length * (1 + PERSON_BYTES_MAX + NUMBER_BYTES));
  let at = 0;
  for (const { person, number } of named) {
    bytes[at] = person.length;
    bytes.set(person, at + 1);
    at = bytes.writeUInt32BE(number, at + 1 + person.length);
  }
  return bytes.subarray(0, at);
}
