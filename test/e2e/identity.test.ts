import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cliSays } from '../support/command-line.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';

const APPS = ['douyin', 'huoshan', 'lite', 'xigua', 'toutiao', 'tlite', 'novel', 'audio'] as const;
const PHONE = '+86 138 0013 8000';
const POLL = { timeout: 30_000, interval: 50 };

interface Wallet {
  readonly balanceFen: number;
  readonly heldFen: number;
  readonly totalIncomeFen: number;
  readonly records: readonly { readonly kind: string; readonly ref: string }[];
}

/** The seed's night: eight apps with accounts of their own, one phone number, one wallet. */
describe('eight apps, one person', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-apps-'));
  const dataFolder = path.join(folder, 'data');
  let engine: TestEngine;
  let secret: string;

  const cli = (command: string) => cliSays(command, dataFolder);

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    mkdirSync(dataFolder);
    const campaignFile = path.join(folder, 'eight.yaml');
    const apps = APPS.map((name, at) => `  - { id: ${at + 1}, name: ${name} }`).join('\n');
    const source = readFileSync('test/faults/reissue-campaign.yaml', 'utf8');
    writeFileSync(campaignFile, source.replace('  - { id: 1, name: demo }', apps));
    engine = await startEngineForTest({ campaignFile, dataFolder });
    secret = (await cli('upstream add apps --campaign makeup --scenes makeup')).secret as string;
  });
  afterAll(async () => {
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (
    method: string,
    route: string,
    bearer: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(`${engine.url}${route}`, {
      method,
      headers: {
        authorization: `Bearer ${bearer}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const session = async (app: string, phone?: string) => {
    const user = `someone-in-${app}`;
    const answer = await ask('POST', '/demo/v1/sessions', '-', { app, user, ...(phone ? { phone } : {}) });
    return answer.body.session as string;
  };
  const wallet = async (bearer: string) =>
    (await ask('GET', '/v1/campaigns/makeup/wallet', bearer)).body as unknown as Wallet;
  const grant = (app: string, rainId: number, amountFen: number) =>
    ask('POST', '/v1/grants', secret, {
      campaignId: 'makeup',
      sceneId: 'makeup',
      rainId,
      app,
      user: `someone-in-${app}`,
      amountFen,
    });
  const bind = (app: string, phone = PHONE) =>
    ask('POST', '/v1/identities/phone', secret, {
      campaignId: 'makeup',
      app,
      user: `someone-in-${app}`,
      phone,
    });

  it('what is earned in one is seen, used and taken in every other', async () => {
    const orders: string[] = [];
    for (const [at, app] of APPS.entries()) {
      const granted = await grant(app, 1, 100 + at);
      expect(granted.status, JSON.stringify(granted.body)).toBe(200);
      orders.push(granted.body.orderNumber as string);
    }
    const total = APPS.reduce((sum, _, at) => sum + 100 + at, 0);
    const before = await session(APPS[7]);
    expect((await wallet(before)).balanceFen).toBe(107);

    // Some apps say the number in their sessions, some by their backends.
    for (const app of APPS.slice(0, 4)) await wallet(await session(app, PHONE));
    for (const app of APPS.slice(4)) expect((await bind(app)).status).toBe(200);
    expect((await bind(APPS[7])).body).toEqual({ outcome: 'known' });

    for (const app of APPS) {
      const seen = await wallet(await session(app));
      expect([app, seen.balanceFen, seen.totalIncomeFen]).toEqual([app, total, total]);
      expect(seen.records.map((line) => line.ref).sort()).toEqual([...orders].sort());
    }
    // A session of before the join is the same person's now.
    expect((await wallet(before)).balanceFen).toBe(total);
    // Retries through each app get what that app got, and pay nothing again.
    for (const [at, app] of APPS.entries())
      expect((await grant(app, 1, 100 + at)).body).toMatchObject({ orderNumber: orders[at], replayed: true });
    // Five packets a person, and these are eight.
    expect((await grant(APPS[3], 2, 50)).body.code).toBe('person-cap-reached');

    const key = randomUUID();
    const withdraw = async (app: string) =>
      ask(
        'POST',
        '/v1/campaigns/makeup/withdrawals',
        await session(app),
        { amountFen: total },
        { 'idempotency-key': key },
      );
    const taken = await withdraw(APPS[5]);
    expect(taken.status, JSON.stringify(taken.body)).toBe(202);
    expect((await withdraw(APPS[2])).body).toEqual(taken.body);
    for (const app of APPS) {
      const seen = await wallet(await session(app));
      expect([app, seen.balanceFen, seen.totalIncomeFen]).toEqual([app, 0, total]);
    }
    const route = `/v1/campaigns/makeup/withdrawals/${taken.body.withdrawalId}`;
    const paid = async () => (await ask('GET', route, await session(APPS[0]))).body.state;
    await vi.waitFor(async () => expect(await paid()).toBe('paid'), POLL);
  });

  it('a number of somebody else joins nobody, and a stranger sees nothing', async () => {
    const stranger = await session(APPS[0].replace('douyin', 'xigua'), PHONE);
    expect(stranger).toBeTypeOf('string');
    const other = await ask('POST', '/demo/v1/sessions', '-', {
      app: 'novel',
      user: 'a stranger',
      phone: '+8613900139000',
    });
    const bearer = other.body.session as string;
    expect(await wallet(bearer)).toMatchObject({ balanceFen: 0, totalIncomeFen: 0, records: [] });
    const claimed = await ask('POST', '/v1/identities/phone', secret, {
      campaignId: 'makeup',
      app: 'novel',
      user: 'a stranger',
      phone: PHONE,
    });
    expect([claimed.status, claimed.body.code]).toEqual([409, 'phone-of-another']);
    expect(JSON.stringify(claimed.body)).not.toContain('138');
    expect(await wallet(bearer)).toMatchObject({ totalIncomeFen: 0 });
  });

  it('the auditor finds nothing, and no log holds the number', async () => {
    await vi.waitFor(async () => {
      const status = await cli('status');
      expect(status.backlogOrders).toBe(0);
    }, POLL);
    expect(engine.output()).not.toMatch(/13800138000|138 0013 8000/);
    const { body } = await ask('GET', '/openapi.json', '-');
    expect(JSON.stringify(body)).not.toContain('138 0013 8000');
    expect(await cli('audit')).toMatchObject({ ok: true });
  });
});
