import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ControlStore } from '../../src/engines/ports.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import type { Player } from '../../src/guard/player.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import { decodeCursor } from '../../src/rules/merge-records.ts';
import { type PhoneNumber, parsePhone } from '../../src/rules/phone.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, AppId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { idsOf } from '../../src/vocabulary/person.ts';
import { type AppProcess, type Apps, createApps, PHASE } from '../support/apps.ts';
import { testCampaign } from '../support/campaign.ts';
import { type LedgerEngine, ledgerEngines } from '../support/ledger-engines.ts';
import { seeded, shuffled, testSeed } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { booksOf } from '../support/shards.ts';

type App = 1 | 2;
type Event =
  | { readonly event: 'grant'; readonly app: App; readonly rain: number }
  | { readonly event: 'bind'; readonly app: App }
  | { readonly event: 'withdraw'; readonly app: App; readonly key: string }
  | { readonly event: 'credit' | 'credit-later' | 'sweep' | 'crash' };

const engines = ledgerEngines().filter(({ name }) => name !== 'system Postgres');

describe.each(engines)('one person in two apps, over a ledger of $name', ({ kind, start }) => {
  let server: TestPostgres;
  let engine: LedgerEngine;
  let pool: Pool;
  let control: ControlStore;
  let apps: Apps;
  let people = 0;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    engine = await start(server);
    pool = openPool({
      url: await server.createDatabase(),
      logger: quiet,
      connectionsMax: 8,
      applicationName: 'test',
    });
    await migrate(pool, controlMigrations);
    control = createControlStore(pool);
    apps = createApps({ ledger: engine.ledger, control });
  });
  afterAll(async () => {
    await pool.end();
    await engine.stop();
    await server.stop();
  });

  const balanced = async () => {
    for (const one of engine.pools) expect(await booksOf(one)).toEqual({ total: 0n, wrong: [] });
  };
  const aNewPhone = () => {
    people += 1;
    return parsePhone(`+86${13_000_000_000 + people}`)!;
  };

  /** One person's life, and what must be true of it, by a model that knows no accounts. */
  function aLife(processes: readonly AppProcess[] = [apps.process()]) {
    const phone = aNewPhone();
    const user = `u${people}`;
    const bound = new Set<App>();
    /** First answers: of each app, by round. */
    const answers = new Map<App, Map<number, string>>([
      [1, new Map()],
      [2, new Map()],
    ]);
    const orders = new Map<string, Order>();
    let looks = 0;
    const withdrawn = new Map<string, { readonly app: App; readonly id: string; readonly fen: bigint }>();
    const credited = new Set<string>();
    const joined = () => bound.size === 2;
    const player = (app: App, process = processes[0]!) => process.player(app, user);
    const other = (app: App): App => (app === 1 ? 2 : 1);
    const earnedBy = (app: App) =>
      [...new Set(answers.get(app)!.values())].reduce(
        (sum, number) => sum + orders.get(number)!.amountFen,
        0n,
      );
    const owned = (app: App) => {
      const taken = [...withdrawn.values()].filter((one) => joined() || one.app === app);
      const earned = joined()
        ? [...orders.values()].reduce((sum, order) => sum + order.amountFen, 0n)
        : earnedBy(app);
      return earned - taken.reduce((sum, one) => sum + one.fen, 0n);
    };
    const own = () => [...orders.values()];

    async function grant(app: App, rain: number) {
      const mine = answers.get(app)!;
      const expected = mine.get(rain) ?? (joined() ? answers.get(other(app))!.get(rain) : undefined);
      const granted = await processes[0]!.grant(await player(app), rain);
      if (isRefusal(granted)) throw new Error(granted.detail);
      const { order } = granted;
      if (expected) expect([order.orderNumber, granted.replayed]).toEqual([expected, true]);
      else expect(granted.replayed).toBe(false);
      if (!expected) mine.set(rain, order.orderNumber);
      orders.set(order.orderNumber, order);
    }

    async function withdraw(app: App, key: string) {
      const before = withdrawn.get(key);
      const amountFen = (before?.fen ?? owned(app)) as Fen;
      const isReplay = before && (joined() || before.app === app);
      if (amountFen === 0n || (before && !isReplay)) return;
      const held = await processes[0]!.withdrawals.request(await player(app), testCampaign, {
        amountFen,
        idempotencyKey: `${user} ${key}`,
        tokens: [],
      });
      // I3: what is shown can be taken, all of it and now.
      if (isRefusal(held)) throw new Error(`${held.refused}: ${held.detail}`);
      if (isReplay) expect(held.id).toBe(before.id);
      else withdrawn.set(key, { app, id: held.id, fen: amountFen });
    }

    const crash = async () => {
      const { aliases, actId } = await player(1);
      for (const alias of aliases) {
        const sent = await engine.ledger.sendAll({ actId: alias, phaseKey: PHASE }, actId, instantMs(1));
        if (sent && people % 2 === 0) await engine.ledger.receive(sent);
      }
    };

    async function apply(event: Event): Promise<void> {
      switch (event.event) {
        case 'grant':
          return grant(event.app, event.rain);
        case 'bind': {
          const { outcome } = await processes[0]!.people.bindPhone(event.app as number as AppId, user, phone);
          expect(outcome).toBe(bound.has(event.app) ? 'known' : outcome);
          bound.add(event.app);
          return;
        }
        case 'credit':
          for (const order of own()) credited.add(order.orderNumber);
          return apps.credit(own());
        case 'credit-later':
          // One of them is late, and others go before it.
          return apps.credit(own().slice(1));
        case 'withdraw':
          return withdraw(event.app, event.key);
        case 'sweep':
          return apps.sweep();
        case 'crash':
          return crash();
      }
    }

    async function check(trail: string): Promise<void> {
      looks += 1;
      for (const app of joined() ? ([1 + (looks % 2)] as App[]) : ([1, 2] as const)) {
        const shown = await processes[0]!.overview(await player(app));
        expect([app, shown.balanceFen], trail).toEqual([app, owned(app)]);
        expect(shown.totalIncomeFen - owned(app), trail).toBe(
          [...withdrawn.values()]
            .filter((one) => joined() || one.app === app)
            .reduce((sum, one) => sum + one.fen, 0n),
        );
        const credits = shown.records.filter((line) => line.kind === 'credit').map((line) => line.ref);
        const expected = joined() ? [...orders.keys()] : [...new Set(answers.get(app)!.values())];
        expect([...credits].sort(), trail).toEqual(expected.sort());
      }
    }

    /** Everything is credited and moved; both apps' retries get what they got; nobody holds anything but the person. */
    async function end(trail: string): Promise<void> {
      await apply({ event: 'credit' });
      await apps.sweep();
      await check(trail);
      for (const [app, rains] of answers)
        for (const rain of rains.keys()) await apply({ event: 'grant', app, rain });
      const ids = new Set<ActId>();
      for (const app of [1, 2] as const) for (const actId of idsOf(await player(app))) ids.add(actId);
      const views = await Promise.all(
        [...ids].map(
          async (actId) => [actId, await engine.ledger.wallet({ actId, phaseKey: PHASE }, [])] as const,
        ),
      );
      const paid = views.reduce((sum, [, view]) => sum + view.incomeFen, 0n);
      expect(paid, trail).toBe(own().reduce((sum, order) => sum + order.amountFen, 0n));
      for (const actId of (await player(1)).aliases)
        expect(views.find(([id]) => id === actId)![1].balanceFen, trail).toBe(0n);
    }

    return { apply, check, end, player, phone, user };
  }

  async function live(history: readonly Event[], retries: () => boolean): Promise<void> {
    const life = aLife();
    const trail = JSON.stringify(history);
    for (const [at, event] of history.entries()) {
      await life.apply(event);
      await life.check(trail);
      if (!retries()) continue;
      await life.apply(history[Math.floor(at / 2)]!);
      await life.check(trail);
    }
    await life.end(trail);
  }

  const inParallel = async <Item>(items: readonly Item[], act: (item: Item) => Promise<void>) => {
    let next = 0;
    const worker = async () => {
      while (next < items.length) await act(items[next++]!);
    };
    await Promise.all(Array.from({ length: 4 }, worker));
  };

  it('has, sees and takes what the model says, in every order of the same events', async () => {
    const random = seeded(testSeed('one person'));
    const events: Event[] = [
      { event: 'grant', app: 1, rain: 1 },
      { event: 'grant', app: 2, rain: 1 },
      { event: 'bind', app: 2 },
      { event: 'withdraw', app: 2, key: 'k' },
    ];
    const orders = (rest: readonly Event[]): Event[][] =>
      rest.length < 2
        ? [[...rest]]
        : rest.flatMap((first, at) =>
            orders([...rest.slice(0, at), ...rest.slice(at + 1)]).map((tail) => [first, ...tail]),
          );
    const all = orders(events);
    expect(all.length).toBe(24);
    await inParallel(all, (history) => {
      // Crediting, a broken transfer and the sweep fall somewhere in between.
      const first: Event = { event: 'bind', app: 1 };
      const full = [...history];
      full.splice(random() < 0.8 ? 0 : Math.floor(random() * 5), 0, first);
      for (const event of ['credit', 'crash', 'credit-later', 'sweep'] as const)
        if (random() < 0.6) full.splice(Math.floor(random() * (full.length + 1)), 0, { event });
      return live(full, () => random() < 0.4);
    });
    await balanced();
  }, 120_000);

  it('has, sees and takes what the model says, in long random lives', async () => {
    const random = seeded(testSeed('long lives of one person'));
    const anEvent = (at: number): Event => {
      const app: App = random() < 0.5 ? 1 : 2;
      const pick = random();
      if (pick < 0.4) return { event: 'grant', app, rain: 1 + Math.floor(random() * 4) };
      if (pick < 0.5) return { event: 'bind', app };
      if (pick < 0.65) return { event: 'withdraw', app, key: `k${Math.floor(at / 3)}` };
      return { event: (['credit', 'credit-later', 'sweep', 'crash'] as const)[Math.floor(random() * 4)]! };
    };
    const lives = Array.from({ length: 10 }, () => Array.from({ length: 12 }, (_, at) => anEvent(at)));
    await inParallel(lives, (history) => live(history, () => random() < 0.3));
    await balanced();
  }, 120_000);

  it('never sees the wallet go down, whoever looks and however old what they know: joins, transfers, crediting', async () => {
    const random = seeded(testSeed('looking at a wallet'));
    const [fresh, stale] = [apps.process(), apps.process()];
    const life = aLife([fresh]);
    await Promise.all([fresh.people.look(), stale.people.look()]);
    const seen = new Map<string, bigint>();
    let looks = 0;
    let over = false;
    const looker = async (name: string, process: AppProcess, app: App, keep: boolean) => {
      let player: Player = await process.player(app, life.user);
      while (!over) {
        if (!keep) player = await process.player(app, life.user);
        const { balanceFen } = await process.overview(player);
        expect(balanceFen, name).toBeGreaterThanOrEqual(seen.get(name) ?? 0n);
        seen.set(name, balanceFen);
        looks += 1;
      }
    };
    const lookers = Promise.all([
      looker('app 1', fresh, 1, false),
      looker('app 2', fresh, 2, false),
      looker('app 1 of another process', stale, 1, false),
      looker('app 2 of another process', stale, 2, false),
      looker('app 2 as it was at the beginning', stale, 2, true),
    ]);
    const acts: (() => Promise<unknown>)[] = [
      ...Array.from({ length: 18 }, (_, at) => () => {
        const rain = 1 + (at >> 1);
        return life.apply({ event: 'grant', app: at % 2 === 0 ? 1 : 2, rain });
      }),
      ...Array.from({ length: 8 }, () => () => life.apply({ event: 'credit' })),
      ...Array.from({ length: 6 }, () => () => life.apply({ event: 'crash' })),
      ...Array.from({ length: 6 }, () => () => apps.sweep()),
      ...Array.from({ length: 4 }, () => () => stale.people.look()),
      () => life.apply({ event: 'bind', app: 1 }),
      () => life.apply({ event: 'bind', app: 2 }),
    ];
    try {
      for (const act of shuffled(acts, random)) {
        await Promise.race([act(), lookers]);
        for (let turn = 0; turn < 3; turn += 1) await nextTurn();
      }
      await life.apply({ event: 'bind', app: 1 });
      await life.apply({ event: 'bind', app: 2 });
      await stale.people.look();
      await life.end('looking');
      for (const until = looks + 20; looks < until; ) await Promise.race([nextTurn(), lookers]);
    } finally {
      over = true;
      await lookers;
    }
    const final = new Set([...seen].filter(([name]) => !name.includes('beginning')).map(([, fen]) => fen));
    expect(final.size).toBe(1);
    await balanced();
  }, 60_000);

  it('pages through records of both apps without repeats or gaps, though a join comes between two pages', async () => {
    const process = apps.process();
    const life = aLife([process]);
    for (let rain = 1; rain <= 9; rain += 1)
      for (const app of [1, 2] as const) await life.apply({ event: 'grant', app, rain });
    await life.apply({ event: 'credit-later' });
    await life.apply({ event: 'bind', app: 1 });
    const refs: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; ; page += 1) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const answer = await process.wallet.records(await life.player(1), testCampaign, after, 4);
      if (isRefusal(answer)) throw new Error(answer.detail);
      refs.push(...answer.records.map((line) => line.ref));
      cursor = answer.nextCursor;
      if (page === 0) await life.apply({ event: 'bind', app: 2 });
      if (page === 1) await life.apply({ event: 'credit' });
      if (page === 2) await apps.sweep();
      if (cursor === undefined) break;
    }
    expect(new Set(refs).size).toBe(refs.length);
    // All of the first app's, and of the other's those that are older than where the page stood at the join.
    const all = await process.overview(await life.player(2));
    expect(all.records.length).toBe(18);
    expect(all.records.slice(-refs.length + 4).every((line) => refs.includes(line.ref))).toBe(true);
  });

  it('is nobody else: no wallet, no withdrawal, no key of theirs', async () => {
    const process = apps.process();
    const [life, stranger] = [aLife([process]), aLife([process])];
    for (const one of [life, stranger]) {
      await one.apply({ event: 'grant', app: 1, rain: 1 });
      await one.apply({ event: 'grant', app: 2, rain: 1 });
      await one.apply({ event: 'bind', app: 1 });
      await one.apply({ event: 'bind', app: 2 });
    }
    const ask = { amountFen: 5n as Fen, idempotencyKey: 'the same', tokens: [] };
    const [mine, theirs] = [await life.player(1), await stranger.player(2)];
    const held = await process.withdrawals.request(mine, testCampaign, ask);
    const other = await process.withdrawals.request(theirs, testCampaign, ask);
    if (isRefusal(held) || isRefusal(other)) throw new Error('refused');
    expect(other.id).not.toBe(held.id);
    const lookedUp = async (player: Player) => {
      const found = await process.withdrawals.find(player, testCampaign, held.id);
      return isRefusal(found) ? found.refused : found.id;
    };
    expect(await lookedUp(await life.player(2))).toBe(held.id);
    expect(await lookedUp(theirs)).toBe('withdrawal-unknown');
    const refs = (await process.overview(theirs)).records.map((line) => line.ref);
    for (const actId of idsOf(mine)) expect(refs.some((ref) => ref.startsWith(`${actId}_`))).toBe(false);
    // A number that two people with numbers of their own claim joins nobody, and changes nothing.
    const claimed = await process.people.bindPhone(1 as AppId, stranger.user, life.phone as PhoneNumber);
    expect(claimed.outcome).toBe('of-another');
    expect(await stranger.player(1)).toMatchObject({ actId: theirs.actId, aliases: theirs.aliases });
  });

  it('finds an alias’s withdrawal and its key after the join, and gets what is returned', async () => {
    const process = apps.process();
    const life = aLife([process]);
    await life.apply({ event: 'grant', app: 1, rain: 1 });
    await life.apply({ event: 'grant', app: 2, rain: 1 });
    const younger = await life.player(2);
    const ask = { amountFen: 7n as Fen, idempotencyKey: `${life.user} before`, tokens: [] };
    const held = await process.withdrawals.request(younger, testCampaign, ask);
    if (isRefusal(held)) throw new Error(held.detail);
    await life.apply({ event: 'bind', app: 1 });
    await life.apply({ event: 'bind', app: 2 });
    const elder = await life.player(1);
    expect(await process.withdrawals.request(elder, testCampaign, ask)).toMatchObject({ id: held.id });
    expect(
      await process.withdrawals.request(elder, testCampaign, { ...ask, amountFen: 8n as Fen }),
    ).toMatchObject({ refused: 'idempotency-key-reused' });
    const before = await process.overview(elder);
    expect(before.heldFen).toBe(7n);
    await engine.ledger.markPaying(held.id, held.account);
    await engine.ledger.settle(held.id, held.account, 'returned', instantMs(1_800_000_000_000));
    expect((await process.overview(elder)).balanceFen).toBe(before.balanceFen + 7n);
    await apps.credit();
    await apps.sweep();
    expect((await engine.ledger.wallet(held.account, [])).balanceFen).toBe(0n);
    expect((await process.overview(elder)).balanceFen).toBe(before.balanceFen + 7n);
    await balanced();
  });
});
