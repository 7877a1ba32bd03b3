import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from '../../rehearsal/audit/index.ts';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { freePort, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const ROUNDS = Number(process.env.HONGBAO_KILL_ROUNDS ?? 200);
const EMBEDDED_ROUNDS = Math.max(1, Math.floor(ROUNDS / 10));
const AUDIT_EVERY = 25;
const CAMPAIGN = 'test/faults/kill-campaign.yaml';

const modes = [
  { name: 'with its own Postgres left behind each time', rounds: EMBEDDED_ROUNDS, embedded: true },
  { name: 'with a Postgres beside it', rounds: ROUNDS - EMBEDDED_ROUNDS, embedded: false },
];

describe.each(modes)('the engine, killed at random under load, $name', ({ rounds, embedded }) => {
  let postgres: TestPostgres | undefined;
  let ledgerUrl: string | undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-kill-'));
  const historyFile = path.join(folder, 'history.jsonl');

  beforeAll(async () => {
    if (embedded) return;
    postgres = await startTestPostgres('embedded');
    ledgerUrl = await postgres.createDatabase();
  });
  afterAll(async () => {
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it(`loses nothing and doubles nothing in ${rounds} rounds`, async () => {
    const seed = testSeed(`kill test (${embedded ? 'embedded' : 'beside'})`);
    const random = seeded(seed);
    const port = await freePort();
    const dataFolder = path.join(folder, 'data');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(dataFolder, { recursive: true });
    const start = (): Promise<TestEngine> =>
      startEngineForTest({
        campaignFile: CAMPAIGN,
        dataFolder,
        port,
        env: {
          HONGBAO_LOG_LEVEL: 'error',
          ...(ledgerUrl === undefined ? {} : { HONGBAO_LEDGER: ledgerUrl }),
        },
      });
    const crowd = startCrowd({
      url: `http://127.0.0.1:${port}`,
      campaignId: 'kill',
      people: 30,
      seed,
      historyFile,
      thinkMs: 25,
    });
    const look = async (settled: boolean, url: string) => {
      const report = await audit({ dataFolder, ledgerUrl: url, settled, historyFile });
      expect(report.findings).toEqual([]);
      return report;
    };

    for (let round = 1; round <= rounds; round += 1) {
      const engine = await start();
      await delay(80 + random() * 320);
      engine.process.kill('SIGKILL');
      await once(engine.process, 'exit');
      if (round % AUDIT_EVERY === 0 && ledgerUrl !== undefined) await look(false, ledgerUrl);
    }

    // The last start stays: everybody gets their answers, every slice comes home, every withdrawal is settled.
    const engine = await start();
    await crowd.stop();
    const { ledgerUrl: url } = JSON.parse(
      readFileSync(path.join(dataFolder, 'run', 'engine.json'), 'utf8'),
    ) as { ledgerUrl: string };
    await expect
      .poll(() => statusOf(engine), { timeout: 60_000, interval: 250 })
      .toMatchObject({ backlogOrders: 0 });
    await expect.poll(() => unsettled(url), { timeout: 60_000, interval: 250 }).toBe(0);
    engine.process.kill('SIGKILL');
    await once(engine.process, 'exit');
    const report = await look(true, url);
    process.stderr.write(`${rounds} kills: ${JSON.stringify({ ...crowd.counts, ...report.checked })}\n`);
    expect(crowd.counts.won).toBeGreaterThan(rounds);
    if (rounds >= 10) expect(crowd.counts.withdrawn).toBeGreaterThan(0);
    expect(report.checked.outstanding).toBe(0);
    if (embedded) await (await start()).stop();
  }, 600_000);
});

async function statusOf(engine: TestEngine): Promise<unknown> {
  const response = await fetch(`${engine.opsUrl}/ops/v1/status`, {
    headers: { authorization: `Bearer ${engine.operatorKey()}` },
  });
  return response.json();
}

async function unsettled(url: string): Promise<number> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    "SELECT count(*)::int AS open FROM ledger.withdrawal WHERE state IN ('held', 'paying')",
  );
  await client.end();
  return rows[0].open as number;
}
