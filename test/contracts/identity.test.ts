import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PhoneOutcome } from '../../src/engines/ports.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { secretHash } from '../../src/guard/secrets.ts';
import { identityRoutes } from '../../src/identity/http.ts';
import { createPeople, type People } from '../../src/identity/people.ts';
import { createApp } from '../../src/processes/gateway/app.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { parsePhone } from '../../src/rules/phone.ts';
import type { ActId, AppId, CampaignId } from '../../src/vocabulary/ids.ts';
import { idsOf, type Person } from '../../src/vocabulary/person.ts';
import { testCampaign } from '../support/campaign.ts';
import { seeded, shuffled, testSeed } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until } from '../support/rig.ts';

type Act =
  | { readonly act: 'find'; readonly user: number }
  | { readonly act: 'bind'; readonly user: number; readonly phone: number; readonly mayReplace: boolean };

/** The same in a few lines, without a database: who is with whom, and which number each group has. */
class Model {
  private readonly groups: { users: Set<number>; phone: number | undefined }[] = [];

  apply(act: Act): PhoneOutcome | 'found' {
    const mine = this.groups.find((group) => group.users.has(act.user));
    if (act.act === 'find') {
      if (!mine) this.groups.push({ users: new Set([act.user]), phone: undefined });
      return 'found';
    }
    const holder = this.groups.find((group) => group.phone === act.phone);
    if (!mine) {
      if (holder) holder.users.add(act.user);
      else this.groups.push({ users: new Set([act.user]), phone: act.phone });
      return 'bound';
    }
    if (mine === holder) return 'known';
    if (holder && mine.phone !== undefined) return 'of-another';
    if (holder) {
      for (const user of mine.users) holder.users.add(user);
      this.groups.splice(this.groups.indexOf(mine), 1);
      return 'joined';
    }
    if (mine.phone !== undefined && !act.mayReplace) return 'kept';
    const outcome = mine.phone === undefined ? 'bound' : 'replaced';
    mine.phone = act.phone;
    return outcome;
  }

  /** Users as groups, in one spelling. */
  together(): string {
    return this.groups
      .map((group) => [...group.users].sort().join('+'))
      .sort()
      .join(' ');
  }
}

const bindings = (users: readonly number[], phones: readonly number[], mayReplace: boolean): Act[] =>
  users.flatMap((user) => phones.map((phone) => ({ act: 'bind' as const, user, phone, mayReplace })));

describe('identities', () => {
  let server: TestPostgres;
  let pool: Pool;
  let store: ReturnType<typeof createControlStore>;
  const joined: Person[] = [];
  let worlds = 0;

  beforeAll(async () => {
    server = await startTestPostgres();
    pool = openPool({
      url: await server.createDatabase(),
      logger: quiet,
      connectionsMax: 12,
      applicationName: 'test',
    });
    await migrate(pool, controlMigrations);
    store = createControlStore(pool);
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
  });

  /** A process of its own. */
  const personFor = async (appId: AppId, key: Uint8Array) =>
    (await store.personsFor([{ appId, userKey: key }]))[0]!;
  const aProcess = (over: Parameters<typeof createPeople>[0]['store'] = store): People =>
    createPeople({
      store: over,
      identityKey: Buffer.alloc(32, 5),
      logger: quiet,
      monotonicMs: () => performance.now(),
      onJoined: (person) => joined.push(person),
      onPhone: () => {},
    });
  const phoneOf = (world: number, phone: number) =>
    parsePhone(`+86${(10_000_000_000 + world * 10 + phone).toString()}`)!;
  const keyOf = (world: number, what: string, number: number) => secretHash(`${world} ${what} ${number}`);

  /** Users of one world share apps with nobody else. */
  const aWorld = () => {
    worlds += 1;
    const world = worlds;
    const appOf = (user: number) => ((world * 10 + user) % 2_000_000_000) as AppId;
    const userKey = (user: number) => keyOf(world, 'user', user);
    return {
      world,
      appOf,
      userKey,
      async apply(act: Act): Promise<PhoneOutcome | 'found'> {
        if (act.act === 'find') {
          await personFor(appOf(act.user), userKey(act.user));
          return 'found';
        }
        const phone = keyOf(world, 'phone', act.phone);
        return (await store.bindPhone(appOf(act.user), userKey(act.user), phone, act.mayReplace)).outcome;
      },
      /** Checks that ids and aliases hang together, and tells who is with whom. */
      async together(users: readonly number[]): Promise<string> {
        const known = await Promise.all(users.map((user) => personFor(appOf(user), userKey(user))));
        // Many at once say the same, also when one comes twice.
        const asked = [...users, users[0]!].map((user) => ({ appId: appOf(user), userKey: userKey(user) }));
        expect(await store.personsFor(asked)).toEqual([...known, known[0]]);
        const ids = known.map(({ given }) => given);
        expect(await store.personsOf([...ids, ids[0]!])).toEqual(
          [...known, known[0]!].map(({ person }) => person),
        );
        const groups = new Map<ActId, number[]>();
        for (const [at, { given, person }] of known.entries()) {
          expect(idsOf(person)).toContain(given);
          expect([...idsOf(person)]).toEqual([...idsOf(person)].sort((a, b) => (a < b ? -1 : 1)));
          for (const actId of idsOf(person)) expect(await store.personOf(actId)).toEqual(person);
          groups.set(person.actId, [...(groups.get(person.actId) ?? []), users[at]!]);
        }
        return [...groups.values()]
          .map((group) => group.sort().join('+'))
          .sort()
          .join(' ');
      },
    };
  };

  const usersIn = (history: readonly Act[]) => [...new Set(history.map((act) => act.user))];

  it('are what a simple model says after every history of three acts', async () => {
    const acts: Act[] = [
      { act: 'find', user: 1 },
      ...bindings([1, 2, 3], [1, 2], false),
      ...bindings([1], [1, 2], true),
    ];
    const histories = acts.flatMap((a) => acts.flatMap((b) => acts.map((c) => [a, b, c] as const)));
    let next = 0;
    const worker = async () => {
      for (let history = histories[next++]; history; history = histories[next++]) {
        const [model, world] = [new Model(), aWorld()];
        const expected = history.map((act) => model.apply(act));
        const seen: string[] = [];
        for (const act of history) seen.push(await world.apply(act));
        expect(seen, JSON.stringify(history)).toEqual(expected);
        expect(await world.together(usersIn(history)), JSON.stringify(history)).toBe(model.together());
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
  }, 60_000);

  it('are what a simple model says after long random histories: chains collapse, repeats change nothing', async () => {
    const random = seeded(testSeed('identities'));
    const users = [1, 2, 3, 4, 5, 6];
    for (let round = 0; round < 25; round += 1) {
      const [model, world] = [new Model(), aWorld()];
      const history: Act[] = [];
      for (let step = 0; step < 14; step += 1) {
        const user = users[Math.floor(random() * users.length)]!;
        const act: Act =
          random() < 0.3
            ? { act: 'find', user }
            : { act: 'bind', user, phone: 1 + Math.floor(random() * 4), mayReplace: random() < 0.3 };
        history.push(act);
        expect(await world.apply(act), JSON.stringify(history)).toBe(model.apply(act));
        if (random() < 0.2) expect(await world.apply(act)).toBe(model.apply(act));
      }
      expect(await world.together(usersIn(history)), JSON.stringify(history)).toBe(model.together());
    }
  }, 60_000);

  it('of acts at the same moment are those of one of their orders', async () => {
    const random = seeded(testSeed('identities at once'));
    const orders = (acts: readonly Act[]): Act[][] =>
      acts.length < 2
        ? [[...acts]]
        : acts.flatMap((first, at) =>
            orders([...acts.slice(0, at), ...acts.slice(at + 1)]).map((rest) => [first, ...rest]),
          );
    for (let round = 0; round < 60; round += 1) {
      const world = aWorld();
      const before = shuffled(bindings([1, 2, 3], [1, 2], false), random).slice(0, 1);
      const found = shuffled([1, 2, 3], random)
        .slice(0, 2)
        .map((user) => ({ act: 'find' as const, user }));
      for (const act of [...before, ...found]) await world.apply(act);
      const atOnce = shuffled(
        [...bindings([1, 2, 3], [1, 2], false), ...bindings([1, 2, 3], [1, 2], true)],
        random,
      ).slice(0, 4);
      const outcomes = await Promise.all(atOnce.map((act) => world.apply(act)));
      const users = usersIn([...before, ...found, ...atOnce]);
      const together = await world.together(users);
      const possible = orders(atOnce).map((order) => {
        const model = new Model();
        for (const act of [...before, ...found]) model.apply(act);
        const said = new Map(order.map((act) => [act, model.apply(act)]));
        return `${atOnce.map((act) => said.get(act)).join(',')} | ${model.together()}`;
      });
      expect(possible, JSON.stringify({ before, found, atOnce })).toContain(
        `${outcomes.join(',')} | ${together}`,
      );
    }
  }, 60_000);

  it('give one person one id, and one person one number, however many processes ask at once', async () => {
    const phone = phoneOf(900_001, 1);
    const processes = [aProcess(), aProcess()];
    const given = await Promise.all(
      Array.from({ length: 24 }, (_, at) =>
        processes[at % 2]!.find((7_000_001 + (at % 3)) as AppId, 'ann', phone),
      ),
    );
    const persons = await Promise.all(given.map((actId) => store.personOf(actId)));
    expect(new Set(persons.map((person) => person.actId)).size).toBe(1);
  });

  it('tell a join to other processes, which remember everybody else', async () => {
    const [one, other] = [aProcess(), aProcess()];
    await Promise.all([one.look(), other.look()]);
    const [phone, ann, bea] = [phoneOf(900_002, 1), 7_100_001 as AppId, 7_100_002 as AppId];
    const first = await one.find(ann, 'u', undefined);
    const second = await other.find(bea, 'u', undefined);
    await other.person(first);
    expect(await other.person(second)).toEqual({ actId: second, aliases: [] });
    await one.bindPhone(ann, 'u', phone);
    const { outcome, person } = await one.bindPhone(bea, 'u', phone);
    expect([outcome, person]).toEqual(['joined', { actId: first, aliases: [second] }]);
    expect(joined.at(-1)).toEqual(person);
    expect(one.remembered(first)).toEqual(person);
    // Not told yet: the other process goes on with what it knows, but asks when money is to leave.
    const changes = other.changes();
    expect(other.remembered(second)).toEqual({ actId: second, aliases: [] });
    expect(await other.personNow(second)).toEqual(person);
    await other.look();
    expect(other.changes()).toBeGreaterThan(changes);
    expect([other.remembered(first), other.remembered(second)]).toEqual([person, person]);
  });

  it('miss no join of a transaction that was slow to end', async () => {
    const people = aProcess();
    await people.look();
    const [slow, quick] = [aWorld(), aWorld()];
    for (const world of [slow, quick]) {
      await world.apply({ act: 'bind', user: 1, phone: 1, mayReplace: false });
      await world.apply({ act: 'find', user: 2 });
    }
    const idsIn = async (world: ReturnType<typeof aWorld>) =>
      (await personFor(world.appOf(2), world.userKey(2))).given;
    const [late, early] = [await idsIn(slow), await idsIn(quick)];
    await people.person(late);
    await people.person(early);
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT control.bind_phone($1, $2, $3, false)', [
        slow.appOf(2),
        slow.userKey(2),
        keyOf(slow.world, 'phone', 1),
      ]);
      await quick.apply({ act: 'bind', user: 2, phone: 1, mayReplace: false });
      await people.look();
      expect(people.remembered(early)!.actId).not.toBe(early);
      expect(people.remembered(late)!.actId).toBe(late);
      await people.look();
      await client.query('COMMIT');
    } finally {
      client.release();
    }
    await people.look();
    expect(people.remembered(late)!.actId).not.toBe(late);
  });

  it('go on from memory while control is away, for people and sessions that are known', async () => {
    let isAway = false;
    const away = () => {
      if (isAway) throw new RetryableFault('ledger-unavailable', 'away', 100);
    };
    const guarded =
      <Arguments extends unknown[], Result>(act: (...args: Arguments) => Promise<Result>) =>
      async (...args: Arguments): Promise<Result> => {
        away();
        return act(...args);
      };
    const people = aProcess({
      personsFor: guarded(store.personsFor),
      personOf: guarded(store.personOf),
      bindPhone: guarded(store.bindPhone),
      joinedSince: guarded(store.joinedSince),
    });
    const [app, phone] = [7_200_001 as AppId, phoneOf(900_003, 1)];
    const ann = await people.find(app, 'ann', undefined);
    await people.person(ann);
    isAway = true;
    expect(await people.find(app, 'ann', undefined)).toBe(ann);
    // The number comes with a session while control is away: the person goes on, it is bound with a later one.
    expect(await people.find(app, 'ann', phone)).toBe(ann);
    expect(await people.personNow(ann)).toEqual({ actId: ann, aliases: [] });
    await expect(people.find(app, 'bea', undefined)).rejects.toThrow(RetryableFault);
    isAway = false;
    expect(await people.find(app, 'ann', phone)).toBe(ann);
    expect(await people.find(7_200_002 as AppId, 'other', phone)).toBe(ann);
  });

  it('take a database that hangs for one that is away', async () => {
    const people = aProcess({ ...store, personOf: () => new Promise(() => {}) });
    const ann = await people.find(7_300_001 as AppId, 'ann', undefined);
    expect(await people.personNow(ann)).toEqual({ actId: ann, aliases: [] });
  });

  it('keep no number anywhere', async () => {
    const phone = phoneOf(900_004, 1);
    await aProcess().bindPhone(7_400_001 as AppId, 'ann', phone);
    const { rows } = await pool.query<{ row: string }>(
      `SELECT t::text AS row FROM control.phone t UNION ALL SELECT t::text FROM control.identity t
       UNION ALL SELECT encode(phone_key, 'escape') FROM control.phone`,
    );
    expect(rows.length).toBeGreaterThan(3);
    for (const { row } of rows) expect(row).not.toContain(phone.slice(3));
  });

  it('note when an id became its person’s: with a chain that collapses, at the last join', async () => {
    const { apply, appOf, userKey } = aWorld();
    for (const user of [1, 2, 3]) await apply({ act: 'find', user });
    const [first, second, third] = await Promise.all(
      [1, 2, 3].map(async (user) => (await personFor(appOf(user), userKey(user))).given),
    );
    const joins = async () =>
      (
        await pool.query<{ act_id: bigint; root_act_id: bigint; joined_at: Date }>(
          'SELECT act_id, root_act_id, joined_at FROM control.alias WHERE act_id = ANY($1) ORDER BY act_id',
          [[second, third]],
        )
      ).rows;
    const join = (user: number) => apply({ act: 'bind', user, phone: 1, mayReplace: false });
    await join(2);
    await join(3);
    const [before] = await joins();
    expect(before).toMatchObject({ act_id: third, root_act_id: second });
    await join(3);
    expect(await joins()).toEqual([before]);
    await join(1);
    const [ofSecond, ofThird] = await joins();
    expect([ofSecond, ofThird]).toMatchObject([{ root_act_id: first }, { root_act_id: first }]);
    for (const one of [ofSecond!, ofThird!])
      expect(one.joined_at.getTime()).toBeGreaterThan(before!.joined_at.getTime());
  });

  it('list aliases page by page', async () => {
    const all = await store.aliases(undefined, 100_000);
    const pages: (typeof all)[number][] = [];
    for (let after: ActId | undefined; ; after = pages.at(-1)!.alias) {
      const page = await store.aliases(after, 7);
      pages.push(...page);
      if (page.length < 7) break;
    }
    expect(pages).toEqual(all);
    for (const { alias, actId } of all.slice(0, 20)) expect((await store.personOf(alias)).actId).toBe(actId);
  });

  it('are bound by an app’s backend over HTTP, and no answer holds a number', async () => {
    const app = createApp({ logger: quiet, onProblem: () => {} });
    const credential = { name: 'app', campaignId: testCampaign.id, scenes: new Set<never>() };
    const people = aProcess();
    await app.register(identityRoutes, {
      people,
      campaign: (id) => (id === testCampaign.id ? testCampaign : undefined),
      credentialOf: async (secret) =>
        secret === 'right'
          ? credential
          : secret === 'foreign'
            ? { ...credential, campaignId: 'other' as CampaignId }
            : undefined,
    });
    const ask = async (body: object, secret = 'right') => {
      const reply = await app.inject({
        method: 'POST',
        url: '/v1/identities/phone',
        headers: { authorization: `Bearer ${secret}` },
        payload: { campaignId: 'gala', app: 'demo', user: 'ann', phone: '+86 199 0000 0001', ...body },
      });
      expect(reply.body).not.toMatch(/1990000|199 0000/);
      const { outcome, code } = reply.json<{ outcome?: string; code?: string }>();
      return outcome ?? code;
    };
    expect(await ask({})).toBe('bound');
    expect(await ask({})).toBe('known');
    expect(await ask({ phone: '+86-199-0000-0001' })).toBe('known');
    await people.find(1 as AppId, 'bea', undefined);
    expect(await ask({ user: 'bea' })).toBe('joined');
    expect(await ask({ user: 'bea', phone: '+8619900000002' })).toBe('replaced');
    // Free now: whoever the carrier gave it to is somebody else.
    expect(await ask({ user: 'cem' })).toBe('bound');
    expect(await ask({ user: 'ann' })).toBe('phone-of-another');
    expect(await ask({ phone: '19900000001' })).toBe('malformed');
    expect(await ask({ phone: 'x'.repeat(65) })).toBe('malformed');
    expect(await ask({ user: 'a\nb' })).toBe('malformed');
    expect(await ask({ app: 'nobody' })).toBe('malformed');
    expect(await ask({ campaignId: 'other' })).toBe('campaign-unknown');
    expect(await ask({}, 'wrong')).toBe('credential-invalid');
    expect(await ask({}, 'foreign')).toBe('forbidden');
    await app.close();
  });

  it('learn of joins by themselves', async () => {
    const [one, other] = [aProcess(), aProcess()];
    other.start();
    const [phone, ann, bea] = [phoneOf(900_005, 1), 7_500_001 as AppId, 7_500_002 as AppId];
    await one.bindPhone(ann, 'u', phone);
    const second = await other.find(bea, 'u', undefined);
    await other.person(second);
    await one.bindPhone(bea, 'u', phone);
    await until(() => other.remembered(second)?.actId !== second, 'the other process knows of the join');
    await other.stop();
  });
});
