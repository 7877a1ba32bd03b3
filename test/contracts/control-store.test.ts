import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ControlStore } from '../../src/engines/ports.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import type { AppId, CampaignId, PhaseId, SceneId } from '../../src/vocabulary/ids.ts';
import { postgresKinds, quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

describe.each(postgresKinds())('the control store on %s Postgres', (kind) => {
  let server: TestPostgres;
  let store: ControlStore;
  let end: () => Promise<void>;

  beforeAll(async () => {
    server = await startTestPostgres(kind);
    const pool = openPool({
      url: await server.createDatabase(),
      logger: quiet,
      connectionsMax: 8,
      applicationName: 'test',
    });
    end = () => pool.end();
    // Three replicas that start together must not race.
    await Promise.all([1, 2, 3].map(() => migrate(pool, controlMigrations)));
    store = createControlStore(pool);
  });
  afterAll(async () => {
    await end();
    await server.stop();
  });

  const personFor = async (appId: AppId, userKey: Uint8Array) =>
    (await store.personsFor([{ appId, userKey }]))[0]!;

  it('gives one person one ActId, however many ask at the same moment', async () => {
    const key = Buffer.alloc(32, 7);
    const ids = await Promise.all(Array.from({ length: 20 }, () => personFor(1 as AppId, key)));
    expect(new Set(ids.map(({ given }) => given)).size).toBe(1);
    expect((await personFor(2 as AppId, key)).given).not.toBe(ids[0]!.given);
  });

  it('gives many their ids at once, one each, whoever else brings the same people in another order', async () => {
    const users = Array.from({ length: 300 }, (_, n) => ({
      appId: ((n % 2) + 1) as AppId,
      userKey: Buffer.alloc(32, `user ${n % 250}`),
    }));
    const lists = [users, users.toReversed(), users.slice(100), users.slice(0, 200).toReversed()];
    const answers = await Promise.all([
      ...lists.map((list) => store.personsFor(list)),
      ...users.map(async ({ appId, userKey }) => [await personFor(appId, userKey)]),
    ]);
    const asked = [...lists, ...users.map((user) => [user])];
    const ids = new Map<string, Set<unknown>>();
    for (const [at, list] of asked.entries()) {
      for (const [place, { appId, userKey }] of list.entries()) {
        const name = `${appId} ${userKey}`;
        ids.set(name, (ids.get(name) ?? new Set()).add(answers[at]![place]!.given));
      }
    }
    expect([...ids.values()].map((given) => given.size)).toEqual(Array.from(ids, () => 1));
    expect(new Set([...ids.values()].flatMap((given) => [...given])).size).toBe(ids.size);
    expect(await store.personsFor([])).toEqual([]);
    expect(await store.personsOf([])).toEqual([]);
  });

  it('keeps phase keys over versions and stores no version twice', async () => {
    const campaign = { id: 'gala' as CampaignId, source: 'a' };
    const keys = await store.phaseKeysFor(campaign.id, ['live'] as PhaseId[]);
    expect(await store.phaseKeysFor(campaign.id, ['live'] as PhaseId[])).toEqual(keys);
    const first = await store.storeCampaign({ ...campaign, contentHash: 'h1' });
    const again = await store.storeCampaign({ ...campaign, contentHash: 'h1' });
    await store.phaseKeysFor(campaign.id, ['gray', 'live'] as PhaseId[]);
    const second = await store.storeCampaign({ ...campaign, contentHash: 'h2' });
    expect([first.version, again.version, second.version]).toEqual([1, 1, 2]);
    expect([...second.phaseKeys.keys()].sort()).toEqual(['gray', 'live']);
    for (const { phaseKeys } of [first, second])
      expect(phaseKeys.get('live' as PhaseId)).toBe(keys.get('live' as PhaseId));
    expect((await store.campaigns()).map((one) => one.version)).toEqual([2]);
  });

  it('spends a setup token exactly once, and only one that was offered', async () => {
    const token = Buffer.alloc(32, 1);
    const operator = { name: 'ops', keyHash: Buffer.alloc(32, 2) };
    expect(await store.spendSetupToken(token, operator)).toBe(false);
    await store.offerSetupToken(token);
    const spent = await Promise.all([1, 2, 3, 4].map(() => store.spendSetupToken(token, operator)));
    expect(spent.filter(Boolean)).toHaveLength(1);
    await store.offerSetupToken(token);
    expect(await store.spendSetupToken(token, operator)).toBe(false);
    expect(await store.operatorByKey(operator.keyHash)).toEqual({ name: 'ops' });
    expect(await store.operatorCount()).toBe(1);
  });

  it('ends every setup token with the first one that is spent, whoever comes at the same moment', async () => {
    const tokens = [10, 11, 12].map((byte) => Buffer.alloc(32, byte));
    for (const token of tokens) await store.offerSetupToken(token);
    const operator = { name: 'night-shift', keyHash: Buffer.alloc(32, 9) };
    const spent = await Promise.all(tokens.map((token) => store.spendSetupToken(token, operator)));
    expect(spent.filter(Boolean)).toHaveLength(1);
    for (const token of tokens) expect(await store.spendSetupToken(token, operator)).toBe(false);
  });

  it('knows an upstream by the hash of its secret, and replaces it by name', async () => {
    const credential = {
      name: 'fireworks',
      campaignId: 'gala' as CampaignId,
      scenes: new Set(['show'] as SceneId[]),
    };
    await store.putUpstream(credential, Buffer.alloc(32, 3));
    await store.putUpstream(credential, Buffer.alloc(32, 4));
    expect(await store.upstreamBySecret(Buffer.alloc(32, 3))).toBeUndefined();
    expect(await store.upstreamBySecret(Buffer.alloc(32, 4))).toEqual(credential);
  });
});
