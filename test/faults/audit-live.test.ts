import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it, vi } from 'vitest';
import { type AuditReport, audit } from '../../rehearsal/audit/index.ts';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { ledgerUrlOf, NIGHT_CAMPAIGN, settle } from '../support/night.ts';

const WAIT = { timeout: 60_000, interval: 20 };
const AUDITS = 25;
const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-live-'));
let engine: TestEngine | undefined;
afterAll(async () => {
  await engine?.stop();
  rmSync(dataFolder, { recursive: true });
});

/** The command line, as an operator would use it beside the running engine. */
async function hongbao(...args: string[]): Promise<Record<string, unknown>> {
  const env = { ...process.env, HONGBAO_DATA: dataFolder };
  const { stdout } = await promisify(execFile)(process.execPath, ['bin/hongbao.mjs', ...args, '--json'], {
    env,
    maxBuffer: 16 << 20,
  });
  return JSON.parse(stdout) as Record<string, unknown>;
}

it('finds nothing in a running engine, whatever moment it looks at', async () => {
  const historyFile = path.join(dataFolder, 'history.jsonl');
  engine = await startEngineForTest({ campaignFile: NIGHT_CAMPAIGN, dataFolder });
  const { url } = engine;
  const crowd = startCrowd({ url, campaignId: 'kill', people: 40, seed: 6, historyFile, thinkMs: 15 });
  await vi.waitFor(() => expect(crowd.counts.won).toBeGreaterThan(10), WAIT);
  const ledgerUrl = ledgerUrlOf(dataFolder);
  const reports: AuditReport[] = [];
  for (let audits = 1; audits <= AUDITS; audits += 1) {
    if (audits === 5) await hongbao('keys', 'rotate');
    if (audits === 10) await hongbao('campaign', 'apply', tighterCampaign());
    const report = await audit({ dataFolder, ledgerUrl, historyFile });
    expect(report.findings).toEqual([]);
    reports.push(report);
  }
  // It was no still life: the night went on between the looks, and through them.
  expect(reports.at(-1)!.checked.orders).toBeGreaterThan(reports[0]!.checked.orders! + 10);
  const beside = await hongbao('audit', '--history', historyFile);
  expect(beside).toMatchObject({ ok: true, findings: [] });

  await settle(engine, crowd);
  const settled = await hongbao('audit', '--settled', '--history', historyFile);
  expect(settled).toMatchObject({ ok: true, findings: [], checked: { outstanding: 0 } });
}, 240_000);

/** The campaign with a smaller limit: who has more by then was allowed to. */
function tighterCampaign(): string {
  const file = path.join(dataFolder, 'tighter.yaml');
  const text = readFileSync(NIGHT_CAMPAIGN, 'utf8').replace(
    'packets: 40, packetsPerSponsor: 30',
    'packets: 30, packetsPerSponsor: 20',
  );
  writeFileSync(file, text);
  return file;
}
