import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, vi } from 'vitest';
import { type AuditReport, audit } from '../../rehearsal/audit/index.ts';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { startEngineForTest, type TestEngine } from './engine.ts';
import { NIGHT_CAMPAIGN, numberIn, ON_THEIR_WAY, statusOf } from './night.ts';
import { startTestPostgres } from './postgres.ts';

/** A short, healthy night that is over: what it left on disk and in its ledger, to do harm to copies of. */
export interface SmallNight {
  readonly dataFolder: string;
  readonly ledgerUrl: string;
  readonly historyFile: string;
  /** How far crediting had come; behind it, nothing but what withdrawals forced is in the ledger. */
  readonly drained: number;
  /** A copy of the data folder, for one experiment. */
  copy(): string;
  /** Starts an engine on a copy, with the night's ledger. */
  start(dataFolder: string): Promise<TestEngine>;
  audit(dataFolder: string, settled?: boolean): Promise<AuditReport>;
  remove(): Promise<void>;
}

/** For the hook that plays one, on a machine that is busy with other things. */
export const NIGHT_WITHIN_MS = 240_000;
const POLL = { timeout: 120_000, interval: 20 };

/** Plays one. With `backlog` crediting is stopped in the middle of it and the engine is killed at its end. */
export async function playSmallNight(options: { seed: number; backlog: boolean }): Promise<SmallNight> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-night-'));
  const dataFolder = path.join(folder, 'data');
  const historyFile = path.join(folder, 'history.jsonl');
  mkdirSync(dataFolder);
  const postgres = await startTestPostgres();
  const ledgerUrl = await postgres.createDatabase();
  const start = (on: string): Promise<TestEngine> =>
    startEngineForTest({
      campaignFile: NIGHT_CAMPAIGN,
      dataFolder: on,
      env: { HONGBAO_LEDGER: ledgerUrl, HONGBAO_CREDIT_RATE: on === dataFolder ? '' : '0' },
    });
  const engine = await start(dataFolder);
  const night = { campaignId: 'kill', people: 20, thinkMs: 20, url: engine.url, historyFile };
  const crowd = startCrowd({ ...night, seed: options.seed });
  await vi.waitFor(() => {
    expect(crowd.counts.won > 20 && crowd.counts.withdrawn > 3).toBe(true);
    // One that somebody downstream has to be asked for.
    expect(readFileSync(historyFile, 'utf8')).toContain('_drinks-coupon_');
  }, POLL);
  let drained = 0;
  if (options.backlog) {
    await setCreditRate(engine, 0);
    drained = (await statusOf(engine)).drained as number;
    const won = crowd.counts.won + 25;
    await vi.waitFor(async () => expect(await (crowd.counts.won > won)).toBe(true), POLL);
  }
  await crowd.stop();
  const unpaid = "SELECT count(*) FROM ledger.withdrawal WHERE state IN ('held', 'paying')";
  await vi.waitFor(async () => expect(await numberIn(ledgerUrl, unpaid)).toBe(0), POLL);
  if (options.backlog) {
    engine.process.kill('SIGKILL');
    await once(engine.process, 'exit');
  } else {
    await vi.waitFor(async () => expect(await statusOf(engine)).toMatchObject({ backlogOrders: 0 }), POLL);
    await vi.waitFor(async () => expect(await numberIn(ledgerUrl, ON_THEIR_WAY)).toBe(0), POLL);
    await engine.stop();
  }
  let copies = 0;
  return {
    dataFolder,
    ledgerUrl,
    historyFile,
    drained,
    start,
    copy() {
      copies += 1;
      const copy = path.join(folder, `copy-${copies}`);
      cpSync(dataFolder, copy, { recursive: true });
      return copy;
    },
    audit: (on, settled = false) => audit({ dataFolder: on, ledgerUrl, historyFile, settled }),
    async remove() {
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What operations do with `hongbao credit-rate`. */
async function setCreditRate(engine: TestEngine, creditsPerSecond: number | null): Promise<void> {
  const response = await fetch(`${engine.opsUrl}/ops/v1/credit-rate`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${engine.operatorKey()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ creditsPerSecond }),
  });
  expect(response.status).toBe(200);
}
