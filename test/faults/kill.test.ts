import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuditReport, audit, reportText } from '../../rehearsal/audit/index.ts';
import { createChance } from '../../rehearsal/crowd/chance.ts';
import { runCrowd } from '../../rehearsal/crowd/index.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { buildEngine, type EngineProcess, freePort, settled, startEngineProcess } from './engine-process.ts';

const SEED = Number(process.env.HONGBAO_SEED ?? Date.now() & 0x7fffffff);
const ROUNDS = Number(process.env.HONGBAO_KILL_ROUNDS ?? 40);
const EMBEDDED_ROUNDS = Math.max(1, Math.round(ROUNDS / 25));
const AUDIT_EVERY = 20;
const repeat = (what: string) =>
  `${what}; again: HONGBAO_SEED=${SEED} npx vitest run test/faults/kill.test.ts`;

let postgres: TestPostgres;
const folders: string[] = [];
const running = new Set<EngineProcess>();

beforeAll(async () => {
  buildEngine();
  postgres = await startTestPostgres();
});
afterAll(async () => {
  for (const engine of running) await engine.kill();
  await postgres?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function dataFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-kill-'));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

async function night(rounds: number, ledgerUrl: string | undefined): Promise<void> {
  const chance = createChance(SEED + rounds);
  const folder = dataFolder();
  const historyFile = path.join(folder, 'history.jsonl');
  const port = await freePort();
  const start = async (): Promise<EngineProcess> => {
    // Sometimes the ledger is slow, so that a backlog stands when the engine dies.
    const creditRate = chance.oneIn(3) ? 20 + chance.below(80) : undefined;
    const engine = await startEngineProcess({
      dataFolder: folder,
      port,
      ...(ledgerUrl === undefined ? {} : { ledgerUrl }),
      ...(creditRate === undefined ? {} : { creditRate }),
    });
    running.add(engine);
    return engine;
  };
  const kill = async (engine: EngineProcess): Promise<void> => {
    await engine.kill();
    running.delete(engine);
  };
  const look = async (ledger: string, isSettled: boolean): Promise<AuditReport> => {
    const report = await audit({ dataFolder: folder, ledgerUrl: ledger, historyFile, settled: isSettled });
    expect(
      report.findings,
      repeat(reportText({ ...report, findings: report.findings.slice(0, 20) })),
    ).toEqual([]);
    return report;
  };

  let engine = await start();
  const ending = new AbortController();
  const crowd = runCrowd({
    url: engine.url,
    campaignId: 'killnight',
    people: 60,
    seed: SEED,
    historyFile,
    until: ending.signal,
    pauseMs: 150,
  });
  let killsUnderLoad = 0;
  for (let round = 1; round <= rounds; round += 1) {
    await delay(150 + chance.below(650));
    const before = crowd.tally.unanswered;
    await kill(engine);
    engine = await start();
    if (crowd.tally.unanswered > before) killsUnderLoad += 1;
    if (round % AUDIT_EVERY === 0) await look(engine.ledgerUrl(), false);
  }
  await kill(engine);
  engine = await startEngineProcess({
    dataFolder: folder,
    port,
    ...(ledgerUrl === undefined ? {} : { ledgerUrl }),
  });
  running.add(engine);
  ending.abort();
  await crowd.done;
  const client = new pg.Client({ connectionString: engine.ledgerUrl() });
  client.on('error', () => {});
  await client.connect();
  const openWithdrawals = async (): Promise<number> =>
    (
      await client.query(
        "SELECT count(*)::int4 AS open FROM ledger.withdrawal WHERE state IN ('held', 'paying')",
      )
    ).rows[0].open;
  await settled(engine, 30_000, openWithdrawals).finally(() => client.end());
  const report = await look(engine.ledgerUrl(), true);
  process.stdout.write(
    `${rounds} kills, ${killsUnderLoad} of them under load, seed ${SEED}: ${JSON.stringify(crowd.tally)}\n${reportText(report)}\n`,
  );
  expect(crowd.tally.misbehaved, repeat('answers that nobody may get')).toEqual([]);
  expect(crowd.tally.wins).toBeGreaterThan(rounds);
  expect(crowd.tally.withdrawals).toBeGreaterThan(0);
  expect(killsUnderLoad).toBeGreaterThan(rounds / 2);
  expect(await engine.stop(), engine.output()).toBe(0);
  running.delete(engine);
}

test(`${ROUNDS} kills of the engine at any moment break no invariant`, { timeout: 600_000 }, async () => {
  await night(ROUNDS, await postgres.createDatabase());
});

test(`${EMBEDDED_ROUNDS} kills of the engine together with its own Postgres's parent break none either`, {
  timeout: 600_000,
}, async () => {
  await night(EMBEDDED_ROUNDS, undefined);
});
