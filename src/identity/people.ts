import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ControlStore, PhoneBinding } from '../engines/ports.ts';
import { gather } from '../guard/gather.ts';
import type { Identities } from '../guard/player.ts';
import { recent } from '../guard/recent.ts';
import { userKeyOf } from '../guard/sessions.ts';
import { RetryableFault } from '../protocol/failures.ts';
import type { PhoneNumber } from '../rules/phone.ts';
import type { ActId, AppId } from '../vocabulary/ids.ts';
import { idsOf, type Person } from '../vocabulary/person.ts';

export interface PeopleOptions {
  readonly store: Pick<ControlStore, 'personsFor' | 'personOf' | 'bindPhone' | 'joinedSince'>;
  /** Keys the hashes of users and phone numbers. Kept for ever: with another one everybody would be new. */
  readonly identityKey: Buffer;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
  /** Two persons were joined by this process. */
  readonly onJoined: (person: Person) => void;
  /** A number bound nobody: its outcome, never the number. */
  readonly onPhone: (outcome: PhoneBinding['outcome']) => void;
}

export interface People extends Identities {
  /** Binds a number that the app's backend vouches for; it replaces a person's older one when nobody has it. */
  bindPhone(appId: AppId, user: string, phone: PhoneNumber): Promise<PhoneBinding>;
  /** The person of (app, user), new ones too. */
  personFor(appId: AppId, user: string): Promise<Person>;
  /** Who an id is by control's word of this moment; from memory while control is away. For what moves money out. */
  personNow(actId: ActId): Promise<Person>;
  /** Learns who was joined elsewhere, once a second. */
  start(): void;
  stop(): Promise<void>;
  /** One look. Runs by itself; exported for tests. */
  look(): Promise<void>;
}

const CACHED_USERS = 1_000_000;
const CACHED_PERSONS = 1_000_000;
const ASKED_AT_ONCE = 2;
const LOOK_EVERY_MS = 1_000;
const PATIENCE_MS = 1_000;
/** So long after it was away control is not waited for. */
const AWAY_MS = 2_000;

/**
 * Everybody's identity, from memory after the first look. What (app, user) was given never changes; who that is changes
 * only by a join, and joins are told to every process within about a second: so nobody is asked for again in vain, and
 * while control is away everybody who is known goes on.
 */
export function createPeople(options: PeopleOptions): People {
  const { store, logger } = options;
  const users = recent<string, ActId>(CACHED_USERS);
  const persons = recent<ActId, Person>(CACHED_PERSONS);
  const asking = new Map<string, Promise<ActId>>();
  // When the curtain rises everybody comes at once: a thousand of them are one commit.
  const personFor = gather(store.personsFor, { atOnce: ASKED_AT_ONCE });
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let changes = 0;
  let mark: string | undefined;
  let awayUntilMs = Number.NEGATIVE_INFINITY;

  const keyOfUser = (appId: AppId, user: string): Buffer => userKeyOf(options.identityKey, appId, user);
  /** Can't be taken for a user's key, which begins with the app's number. */
  const phoneKeyOf = (phone: PhoneNumber): Buffer =>
    createHmac('sha256', options.identityKey).update(`phone\0${phone}`).digest();

  /** Keeps what was read unless a join came in between, which may be younger than what was read. */
  function remember(person: Person, readAt: number): void {
    if (changes !== readAt) return;
    for (const actId of idsOf(person)) persons.set(actId, person);
  }

  /** A join: those of its ids that are in memory are this person from now on. It may be told more than once. */
  function learn(person: Person): void {
    changes += 1;
    for (const actId of idsOf(person)) if (persons.has(actId)) persons.set(actId, person);
  }

  async function bind(
    appId: AppId,
    userKey: Buffer,
    phone: PhoneNumber,
    mayReplace: boolean,
  ): Promise<PhoneBinding> {
    const readAt = changes;
    const bound = await store.bindPhone(appId, userKey, phoneKeyOf(phone), mayReplace);
    options.onPhone(bound.outcome);
    if (bound.outcome !== 'joined') {
      remember(bound.person, readAt);
      return bound;
    }
    // Read again: this answer may be older than another join that was heard of while it was on its way.
    changes += 1;
    const person = await ask(bound.given).catch(() => bound.person);
    options.onJoined(person);
    return { ...bound, person };
  }

  function once(name: string, ask: () => Promise<ActId>): Promise<ActId> {
    const underWay = asking.get(name);
    if (underWay) return underWay;
    const answer = ask().finally(() => asking.delete(name));
    asking.set(name, answer);
    return answer;
  }

  async function given(appId: AppId, userKey: Buffer): Promise<ActId> {
    const readAt = changes;
    const known = await personFor({ appId, userKey });
    remember(known.person, readAt);
    return known.given;
  }

  async function find(appId: AppId, user: string, phone: PhoneNumber | undefined): Promise<ActId> {
    const userKey = keyOfUser(appId, user);
    const userName = userKey.toString('base64url');
    const name = phone === undefined ? userName : `${userName} ${phoneKeyOf(phone).toString('base64url')}`;
    const known = users.get(name);
    if (known) return known;
    const found = await once(name, async () => {
      if (phone === undefined) return given(appId, userKey);
      try {
        const bound = await bind(appId, userKey, phone, false);
        users.set(name, bound.given);
        return bound.given;
      } catch (error) {
        // Who is known goes on while control is away; the number is bound by a later session.
        const known = users.get(userName);
        if (known && error instanceof RetryableFault) return known;
        throw error;
      }
    });
    users.set(userName, found);
    return found;
  }

  async function ask(actId: ActId): Promise<Person> {
    for (;;) {
      const readAt = changes;
      const person = await store.personOf(actId);
      remember(person, readAt);
      if (changes === readAt) return person;
    }
  }

  /** Control is a weak dependency: a database that hangs is taken for one that is away, long before it says so itself. */
  async function withPatience(answer: Promise<Person>): Promise<Person> {
    const giveUp = new AbortController();
    const late = delay(PATIENCE_MS, undefined, { signal: giveUp.signal }).then(() => {
      throw new RetryableFault('control-unavailable', 'control did not answer in time', AWAY_MS);
    });
    answer.catch(() => {});
    late.catch(() => {});
    try {
      return await Promise.race([answer, late]);
    } finally {
      giveUp.abort();
    }
  }

  async function look(): Promise<void> {
    const seen = await store.joinedSince(mark);
    // Before the first mark nobody told us of joins: what was read till then may be old.
    if (mark === undefined) {
      persons.clear();
      changes += 1;
    }
    mark = seen.mark;
    for (const person of seen.persons) learn(person);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look().catch((error: Error) =>
        logger.debug({ reason: error.message }, 'joins could not be asked for; persons are as last known'),
      );
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  }

  return {
    find,
    person: async (actId) => persons.get(actId) ?? ask(actId),
    remembered: (actId) => persons.get(actId),
    changes: () => changes,
    bindPhone: (appId, user, phone) => bind(appId, keyOfUser(appId, user), phone, true),
    async personFor(appId, user) {
      const actId = await find(appId, user, undefined);
      return persons.get(actId) ?? ask(actId);
    },
    async personNow(actId) {
      const known = persons.get(actId);
      if (known && options.monotonicMs() < awayUntilMs) return known;
      try {
        return await (known ? withPatience(ask(actId)) : ask(actId));
      } catch (error) {
        if (!known || !(error instanceof RetryableFault)) throw error;
        awayUntilMs = options.monotonicMs() + AWAY_MS;
        return known;
      }
    },
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    look,
  };
}
