import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { expect, vi } from 'vitest';
import { type AuditReport, audit } from '../../rehearsal/audit/index.ts';
import type { Crowd } from '../../rehearsal/crowd/index.ts';
import type { RunFile } from '../../src/processes/run-file.ts';
import type { TestEngine } from './engine.ts';

/** The campaign of the fault tests: short rounds, small slices, short-lived tickets. */
export const NIGHT_CAMPAIGN = 'test/faults/kill-campaign.yaml';

const POLL = { timeout: 120_000, interval: 200 };

/** Counts the pieces that are credited and not handed out: somebody is still asked for them. */
export const ON_THEIR_WAY = "SELECT count(*) FROM ledger.award WHERE state IN ('granted', 'asking')";

/** What operations see of a running engine. */
export async function statusOf(engine: TestEngine): Promise<Record<string, unknown>> {
  const response = await fetch(`${engine.opsUrl}/ops/v1/status`, {
    headers: { authorization: `Bearer ${engine.operatorKey()}` },
  });
  return (await response.json()) as Record<string, unknown>;
}

/** What a running engine says of itself. */
export const runFileOf = (dataFolder: string): RunFile =>
  JSON.parse(readFileSync(path.join(dataFolder, 'run', 'engine.json'), 'utf8')) as RunFile;

/** Where a running engine keeps its ledger. */
export const ledgerUrlOf = (dataFolder: string): string => runFileOf(dataFolder).ledgerUrl;

/** The first field of the first row. */
export async function numberIn(url: string, sql: string, values: unknown[] = []): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    return Number((await client.query({ text: sql, values, rowMode: 'array' })).rows[0]?.[0]);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Counts the accounts of aliases whose money has not been moved to the person's. */
const LEFT_BEHIND = `SELECT count(*) FROM (
  SELECT act_id FROM ledger.posting JOIN control.alias USING (act_id) WHERE purse IN (1, 7)
  GROUP BY act_id, phase_key, purse HAVING sum(amount_fen) <> 0) AS left_behind`;

/**
 * The end of a night: everybody gets their answers, the backlog drains, every withdrawal is settled, every piece is
 * handed out, no money lies with an alias, and every slice that was leased by then comes home. Returns when the last of
 * these ended, and the ledger's address.
 */
export async function settle(
  engine: TestEngine,
  crowd: Crowd,
): Promise<{ ledgerUrl: string; closedBeforeMs: number }> {
  await crowd.stop();
  const ledgerUrl = ledgerUrlOf(engine.dataFolder);
  const closedBeforeMs = 1 + (await numberIn(ledgerUrl, 'SELECT max(grant_until_ms) FROM allotment.slice'));
  await vi.waitFor(async () => expect(await statusOf(engine)).toMatchObject({ backlogOrders: 0 }), POLL);
  const unpaid = "SELECT count(*) FROM ledger.withdrawal WHERE state IN ('held', 'paying')";
  await vi.waitFor(async () => expect(await numberIn(ledgerUrl, unpaid)).toBe(0), POLL);
  await vi.waitFor(async () => expect(await numberIn(ledgerUrl, ON_THEIR_WAY)).toBe(0), POLL);
  await vi.waitFor(async () => expect(await numberIn(ledgerUrl, LEFT_BEHIND)).toBe(0), POLL);
  const unclosed = "SELECT count(*) FROM allotment.slice WHERE state <> 'closed' AND grant_until_ms < $1";
  await vi.waitFor(async () => expect(await numberIn(ledgerUrl, unclosed, [closedBeforeMs])).toBe(0), POLL);
  return { ledgerUrl, closedBeforeMs };
}

/** Settles a night, and has the auditor look at all of it. */
export async function settleAndAudit(
  engine: TestEngine,
  crowd: Crowd,
  historyFile: string,
): Promise<AuditReport> {
  const settled = await settle(engine, crowd);
  const gatewayUrls = [engine.url];
  const report = await audit({
    dataFolder: engine.dataFolder,
    historyFile,
    settled: true,
    gatewayUrls,
    ...settled,
  });
  expect(report.findings).toEqual([]);
  expect(report.checked.totals).toBe(1);
  expect(report.checked.outstanding).toBe(0);
  return report;
}
