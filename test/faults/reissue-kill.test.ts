import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { audit } from '../../rehearsal/audit/index.ts';
import { createCsvReader } from '../../src/rules/csv.ts';
import { runCommandLine } from '../support/command-line.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { ledgerUrlOf, numberIn, statusOf } from '../support/night.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { until } from '../support/rig.ts';

const CAMPAIGN = 'test/faults/reissue-campaign.yaml';
const LINES = 2_500;
const KILLS = 4;

let postgres: TestPostgres;
let engine: TestEngine | undefined;
const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-reissue-'));
const file = path.join(folder, 'list.csv');
const keyFile = path.join(folder, 'bob.key');

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(async () => {
  await engine?.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

const cli = async (command: string) => {
  const ran = await runCommandLine(command.split(' '), { HONGBAO_DATA: folder });
  expect(ran.stderr).toBe('');
  return ran;
};

it(`a list of ${LINES} lines ends with each line once, with the whole process killed ${KILLS} times`, async () => {
  const random = seeded(testSeed('reissue-kill'));
  const fen = Array.from({ length: LINES }, () => 1 + Math.floor(random() * 500));
  const drawnAt = '2026-02-16T20:00:00+08:00';
  writeFileSync(
    file,
    `campaign,scene,rain,app,user,amountFen,drawnAt\r\n${fen.map((amount, at) => `makeup,makeup,1,demo,user ${at},${amount},${drawnAt}\r\n`).join('')}`,
  );
  const ledgerUrl = await postgres.createDatabase();
  const env = { HONGBAO_LEDGER: ledgerUrl, HONGBAO_LOG_LEVEL: 'error' };
  const start = () => startEngineForTest({ campaignFile: CAMPAIGN, dataFolder: folder, env });

  engine = await start();
  const made = (await cli(`reissue -f ${file} --json`)).json();
  expect(made).toMatchObject({ state: 'draft', lines: LINES, suffices: true, counts: { waiting: LINES } });
  const job = made.id;
  writeFileSync(keyFile, String((await cli('operator add bob --json')).json().operatorKey));
  await cli(`reissue approve ${job} -f ${file} --key-file ${keyFile} --json`);
  await cli(`reissue rate ${job} 800 --json`);
  await cli(`reissue start ${job} --json`);

  const settledLines = () => numberIn(ledgerUrl, "SELECT count(*) FROM reissue.line WHERE state = 'settled'");
  let killedInside = 0;
  for (let kills = 0; kills < KILLS; kills += 1) {
    const before = await settledLines();
    // Not before it works again on the list: a control that is gone holds its lease for some seconds.
    await until(async () => (await settledLines()) > before, 'the list goes on', 60_000);
    await delay(random() * 400);
    engine.process.kill('SIGKILL');
    await once(engine.process, 'exit');
    if ((await settledLines()) < LINES) killedInside += 1;
    engine = await start();
  }
  await cli(`reissue rate ${job} 10000 --json`);
  await until(
    async () => (await cli(`reissue status ${job} --json`)).json().state === 'done',
    'the end of the list',
    120_000,
  );
  await until(async () => (await statusOf(engine!)).backlogOrders === 0, 'crediting', 60_000);
  expect(killedInside).toBeGreaterThanOrEqual(KILLS - 1);

  // Once each, to the right person, of the right amount: by the ledger itself.
  const credits = "FROM ledger.posting WHERE act_id > 0 AND split_part(ref, '_', 2) = 'makeup'";
  expect(await numberIn(ledgerUrl, `SELECT count(*) ${credits}`)).toBe(LINES);
  expect(await numberIn(ledgerUrl, `SELECT count(DISTINCT act_id) ${credits}`)).toBe(LINES);
  const wrong = `SELECT count(*) FROM reissue.line l WHERE outcome <> 'granted' OR NOT EXISTS
    (SELECT FROM ledger.posting p WHERE p.act_id = l.act_id AND p.ref = l.order_number AND p.amount_fen = l.amount_fen)`;
  expect(await numberIn(ledgerUrl, wrong)).toBe(0);
  expect(await numberIn(ledgerUrl, 'SELECT count(*) FROM reissue.line WHERE user_key IS NOT NULL')).toBe(0);

  const out = path.join(folder, 'result.csv');
  await cli(`reissue result ${job} -f ${file} -o ${out} --json`);
  const reader = createCsvReader();
  const rows = [...reader.push(readFileSync(out, 'utf8')), ...reader.end()].map((row) =>
    'fields' in row ? row.fields : [],
  );
  expect(rows).toHaveLength(LINES + 1);
  expect(rows[0]!.slice(0, 4)).toEqual(['line', 'outcome', 'orderNumber', 'amountFen']);
  for (const [at, row] of rows.slice(1).entries()) {
    expect([row[0], row[1], row[3], row[10]]).toEqual([
      String(at + 2),
      'granted',
      String(fen[at]),
      `user ${at}`,
    ]);
  }
  const { findings } = await audit({ dataFolder: folder, ledgerUrl: ledgerUrlOf(folder) });
  expect(findings).toEqual([]);
}, 400_000);
