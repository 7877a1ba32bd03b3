import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { cliSays, runCommandLine } from '../support/command-line.ts';
import { sessionOf, startEngineForTest, type TestEngine } from '../support/engine.ts';

const POLL = { timeout: 60_000, interval: 100 };
const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-connectors-'));
const file = path.join(folder, 'connectors.yaml');
const dataFolder = path.join(folder, 'data');
let shops: Server[];
/** What the shops say that they gave. */
const given: string[] = [];
let engine: TestEngine;

/** A shop whose vouchers begin with its name. */
async function startShop(name: string): Promise<Server> {
  const shop = createServer((request, response) => {
    const voucher = `${name}${decodeURIComponent(request.url!)}`;
    given.push(`${request.url!.slice(1)},milk-tea,${voucher}`);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ state: 'issued', code: voucher }));
  });
  await new Promise<void>((done) => shop.listen(0, '127.0.0.1', done));
  return shop;
}

const connectorTo = (shop: Server, means = 'fulfilled'): string => `
connectors:
  - name: drinks-shop
    url: http://127.0.0.1:${(shop.address() as AddressInfo).port}
    auth: { kind: none }
    give: { method: POST, path: "/{orderNumber}", body: { item: "{item}" } }
    query: { method: GET, path: "/{orderNumber}" }
    answers:
      - { status: 2xx, json: { /state: issued }, means: ${means}, voucher: /code }
`;

beforeAll(async () => {
  mkdirSync(dataFolder);
  chmodSync(folder, 0o755);
  shops = await Promise.all(['A', 'B'].map(startShop));
  writeFileSync(file, connectorTo(shops[0]!));
  engine = await startEngineForTest({
    campaignFile: 'test/e2e/awards-campaign.yaml',
    dataFolder,
    env: { HONGBAO_CONNECTORS: file },
  });
});
afterAll(async () => {
  await engine?.stop();
  for (const shop of shops) shop.close();
  rmSync(folder, { recursive: true, force: true });
});

const cli = (command: string) => cliSays(command, dataFolder);
const inForce = async () =>
  (await cli('status')).connectorsFile as { version: string; refused?: { report: string } };
const metrics = async (): Promise<string> =>
  (
    await fetch(`${engine.opsUrl}/metrics`, { headers: { authorization: `Bearer ${engine.operatorKey()}` } })
  ).text();

it('are changed while the engine runs; a file that does not hold up is refused, and the one before hands out', async () => {
  const { secret } = await cli('upstream add show --campaign pieces --scenes tea');
  const voucherFor = async (user: string): Promise<string> => {
    const granted = await fetch(`${engine.url}/v1/grants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ campaignId: 'pieces', sceneId: 'tea', rainId: 1, app: 'demo', user }),
    });
    expect(granted.status).toBe(200);
    const session = await sessionOf(engine, user);
    return vi.waitFor(async () => {
      const wallet = await fetch(`${engine.url}/v1/campaigns/pieces/wallet`, {
        headers: { authorization: `Bearer ${session}` },
      });
      const [award] = ((await wallet.json()) as { awards: { voucher?: string }[] }).awards;
      expect(award?.voucher).toBeDefined();
      return award!.voucher!;
    }, POLL);
  };

  expect(await voucherFor('ann')).toMatch(/^A\//);
  const { version } = await inForce();

  writeFileSync(file, connectorTo(shops[1]!, 'fine'));
  await vi.waitFor(async () => expect((await inForce()).refused).toBeDefined(), POLL);
  expect(await inForce()).toMatchObject({
    version,
    refused: { report: expect.stringMatching(/connectors\.yaml:\d+:\d+/) },
  });
  expect(await metrics()).toContain('hongbao_connectors_refused 1');
  expect(engine.output()).toContain('the connectors file is refused');
  expect(await voucherFor('ben')).toMatch(/^A\//);

  writeFileSync(file, connectorTo(shops[1]!));
  await vi.waitFor(async () => expect((await inForce()).version).not.toBe(version), POLL);
  const now = await inForce();
  expect(now.refused).toBeUndefined();
  // The old shop is heard to its end; from a moment on nothing is asked of it any more.
  let people = 0;
  await vi.waitFor(async () => {
    people += 1;
    expect(await voucherFor(`cat-${people}`)).toMatch(/^B\//);
  }, POLL);
  const text = await metrics();
  expect(text).toContain(`hongbao_connectors_info{version="${now.version}"} 1`);
  expect(text).toContain('hongbao_connectors_refused 0');
  expect(text).not.toContain(version);
}, 180_000);

it('are audited by what the shops say that they gave', async () => {
  const statement = path.join(folder, 'statement.csv');
  const audited = async (...lines: string[]) => {
    writeFileSync(statement, ['orderNumber,item,voucher', ...lines].join('\n'));
    const args = ['audit', '--settled', '--statement', `drinks-shop=${statement}`, '--json'];
    const ran = await runCommandLine(args, { HONGBAO_DATA: dataFolder });
    const { findings, conserved } = ran.json() as {
      findings: { invariant: string; what: string }[];
      conserved: { station: string; came: { count: number } }[];
    };
    return {
      exitCode: ran.exitCode,
      findings: findings.map(({ invariant, what }) => `${invariant} ${what}`),
      came: conserved.find(({ station }) => station === 'pieces, statements')?.came.count,
    };
  };
  expect(given.length).toBeGreaterThanOrEqual(3);
  await vi.waitFor(
    async () => expect(await audited(...given)).toEqual({ exitCode: 0, findings: [], came: given.length }),
    POLL,
  );
  expect(await audited(...given.slice(1), given[1]!)).toMatchObject({
    exitCode: 1,
    findings: ['I1 a piece was handed out more than once', 'I2 a fulfilled piece was never handed out'],
  });
  const gone = await runCommandLine(['audit', '--statement', 'shop=/no/such/file', '--json'], {
    HONGBAO_DATA: dataFolder,
  });
  expect([gone.exitCode, gone.stdout]).toEqual([2, expect.stringContaining('There is no /no/such/file')]);
}, 120_000);
