import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, it, vi } from 'vitest';
import { audit } from '../../rehearsal/audit/index.ts';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { ledgerUrlOf, NIGHT_CAMPAIGN, settleAndAudit } from '../support/night.ts';
import { seeded, testSeed } from '../support/orders.ts';

const KILLS = 8;
const WAIT = { timeout: 60_000, interval: 20 };
const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-pg-kill-'));
let engine: TestEngine | undefined;
afterAll(async () => {
  await engine?.stop();
  rmSync(dataFolder, { recursive: true });
});

const postmaster = (): number => {
  try {
    return Number(
      readFileSync(path.join(dataFolder, 'postgres/cluster/postmaster.pid'), 'utf8').split('\n')[0],
    );
  } catch {
    return 0;
  }
};

it(`goes on while its Postgres is killed ${KILLS} times under load; the books are right afterwards`, async () => {
  const random = seeded(testSeed('Postgres under SIGKILL'));
  const historyFile = path.join(dataFolder, 'history.jsonl');
  engine = await startEngineForTest({ campaignFile: NIGHT_CAMPAIGN, dataFolder });
  const { url } = engine;
  const crowd = startCrowd({ url, campaignId: 'kill', people: 30, seed: 5, historyFile, thinkMs: 25 });
  await vi.waitFor(() => expect(crowd.counts.withdrawn).toBeGreaterThan(0), WAIT);

  let killed = 0;
  for (let kills = 0; kills < KILLS; kills += 1) {
    await delay(random() * 600);
    await vi.waitFor(() => expect([0, killed]).not.toContain(postmaster()), WAIT);
    killed = postmaster();
    process.kill(killed, 'SIGKILL');
  }
  const { won, withdrawn } = crowd.counts;
  // Nobody restarted the engine: it found its way back to the ledger, and to new slices, by itself.
  await vi.waitFor(() => expect(crowd.counts.won).toBeGreaterThan(won + 10), WAIT);
  await vi.waitFor(() => expect(crowd.counts.withdrawn).toBeGreaterThan(withdrawn), WAIT);
  expect(engine.process.exitCode).toBeNull();
  const report = await audit({ dataFolder, ledgerUrl: ledgerUrlOf(dataFolder), historyFile });
  expect(report.findings).toEqual([]);
  await settleAndAudit(engine, crowd, historyFile);
}, 240_000);
