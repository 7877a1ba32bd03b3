import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from '../../rehearsal/audit/index.ts';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { MOODS, tellDownstream } from '../../rehearsal/faults/downstream-moods.ts';
import { startMoodyDownstream } from '../support/downstream.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { NIGHT_CAMPAIGN, runFileOf, settleAndAudit } from '../support/night.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { freePort, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const ROUNDS = Number(process.env.HONGBAO_KILL_ROUNDS ?? 200);
const EMBEDDED_ROUNDS = Math.max(1, Math.floor(ROUNDS / 10));
const AUDIT_EVERY = 25;
/** On a machine that is busy with other things there are fewer rounds, so that the suite ends; it says how many. */
const BUDGET_MS = process.env.HONGBAO_KILL_ROUNDS === undefined ? 300_000 : Number.POSITIVE_INFINITY;
/** So many there are however busy the machine is. */
const KILLS_MIN = 5;
/** How long an append is waited for, in the rounds that end in one. */
const APPEND_WITHIN_MS = 1_000;

const PEOPLE = 30;
/** Whose numbers they bind. */
const PHONES = 10;

const modes = [
  { name: 'with its own Postgres left behind each time', rounds: EMBEDDED_ROUNDS, embedded: true },
  { name: 'with a Postgres beside it', rounds: ROUNDS - EMBEDDED_ROUNDS, embedded: false },
];

describe.each(modes)('the engine, killed at random under load, $name', ({ rounds, embedded }) => {
  let postgres: TestPostgres | undefined;
  let downstream: Awaited<ReturnType<typeof startMoodyDownstream>> | undefined;
  let ledgerUrl: string | undefined;
  let engine: TestEngine | undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-kill-'));
  const dataFolder = path.join(folder, 'data');
  const historyFile = path.join(folder, 'history.jsonl');
  mkdirSync(dataFolder);
  // Else the cluster would lie elsewhere, where nobody clears it away.
  chmodSync(folder, 0o755);

  beforeAll(async () => {
    if (embedded) return;
    postgres = await startTestPostgres('embedded');
    ledgerUrl = await postgres.createDatabase();
    downstream = await startMoodyDownstream(dataFolder, ['tea']);
  });
  afterAll(async () => {
    await engine?.stop();
    await downstream?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it(`loses nothing and doubles nothing in ${rounds} rounds`, async () => {
    const endMs = performance.now() + (BUDGET_MS * rounds) / ROUNDS;
    let kills = 0;
    const seed = testSeed(`kill test (${embedded ? 'embedded' : 'beside'})`);
    const random = seeded(seed);
    const port = await freePort();
    const env = {
      HONGBAO_LOG_LEVEL: 'error',
      ...(ledgerUrl === undefined ? {} : { HONGBAO_LEDGER: ledgerUrl }),
      ...(downstream === undefined ? {} : { HONGBAO_CONNECTORS: downstream.connectorsFile }),
    };
    // Beside the engine, or in it: then it is killed too, and goes on from what it has on disk.
    const downstreamUrl = () => downstream?.url ?? runFileOf(dataFolder).downstreamUrl!;
    const start = () => startEngineForTest({ campaignFile: NIGHT_CAMPAIGN, dataFolder, port, env });
    const url = `http://127.0.0.1:${port}`;
    const crowd = startCrowd({ url, campaignId: 'kill', people: PEOPLE, seed, historyFile, thinkMs: 25 });

    while (kills < Math.min(rounds, KILLS_MIN) || (kills < rounds && performance.now() < endMs)) {
      engine = await start();
      // Every other round, to pieces that it first hears of in it.
      await tellDownstream(downstreamUrl(), random() < 0.5 ? 'ok' : oneOf(MOODS, random));
      const joining = bindPhone(url, `person-${seed}-`, Math.floor(random() * PEOPLE));
      await delay(80 + random() * 320);
      // Every other kill falls between an append's write and its answer, as nearly as can be aimed.
      if (random() < 0.5) await nextAppend(path.join(dataFolder, 'journal'));
      engine.process.kill('SIGKILL');
      await once(engine.process, 'exit');
      await joining;
      kills += 1;
      if (kills % AUDIT_EVERY === 0 && ledgerUrl !== undefined) {
        const report = await audit({ dataFolder, ledgerUrl, historyFile });
        expect(report.findings).toEqual([]);
      }
    }

    // The last start stays.
    engine = await start();
    await tellDownstream(downstreamUrl(), 'ok');
    // On a busy machine nobody may have been heard before a kill.
    for (const at of [0, PHONES]) await bindPhone(url, `person-${seed}-`, at);
    const { checked } = await settleAndAudit(engine, crowd, historyFile);
    process.stderr.write(`${kills} kills: ${JSON.stringify({ ...crowd.counts, ...checked })}\n`);
    expect(crowd.counts.won).toBeGreaterThan(kills);
    expect(crowd.counts.wonOnSockets).toBeGreaterThan(0);
    expect(checked.seals).toBe(checked.orders);
    expect(checked.handedOut).toBeGreaterThan(0);
    expect(checked.aliases).toBeGreaterThan(0);
    if (crowd.counts.wallets >= 40) expect(crowd.counts.withdrawn).toBeGreaterThan(0);
  }, 1_200_000);
});

/**
 * One of the crowd binds a phone, which groups of three share: two or three people turn out to be one, in the middle of
 * the night. Whether it was done before the kill nobody knows, as with everything.
 */
async function bindPhone(url: string, name: string, at: number): Promise<void> {
  const phone = `+861380000${String(at % PHONES).padStart(4, '0')}`;
  const body = JSON.stringify({ user: `${name}${at}`, phone });
  const headers = { 'content-type': 'application/json' };
  try {
    const asked = await fetch(`${url}/demo/v1/sessions`, { method: 'POST', headers, body });
    const { session } = (await asked.json()) as { session: string };
    const bearer = { authorization: `Bearer ${session}` };
    await (await fetch(`${url}/v1/campaigns/kill/wallet`, { headers: bearer })).text();
  } catch {}
}

const oneOf = <Item>(items: readonly Item[], random: () => number): Item =>
  items[Math.floor(random() * items.length)]!;

/** Resolves the moment that something is written into the folder; or when nothing is, for a while. */
async function nextAppend(folder: string): Promise<void> {
  const watcher = watch(folder);
  const written = new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => {
      if (String(name).endsWith('.seg')) resolve();
    });
  });
  await Promise.race([written, delay(APPEND_WITHIN_MS)]);
  watcher.close();
}
