import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpConnector } from '../../src/engines/connector-http/index.ts';
import { sandboxEntry } from '../../src/engines/embedded/award-sandbox/entry.ts';
import {
  type AwardSandbox,
  type CountedPiece,
  DOWNSTREAM_MODES,
  type DownstreamMode,
  startAwardSandbox,
} from '../../src/engines/embedded/award-sandbox/index.ts';
import type { Connector } from '../../src/engines/ports.ts';
import type { PhaseKey } from '../../src/vocabulary/ids.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import { one } from '../support/connectors.ts';
import { quiet } from '../support/postgres.ts';
import { testClock } from '../support/rig.ts';

describe('a connector over HTTP, against the sandbox', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-downstreams-'));
  const clock = testClock();
  let sandbox: AwardSandbox;
  let tests = 0;
  const start = () =>
    startAwardSandbox({ port: 0, folder: path.join(folder, String(tests)), clock, logger: quiet });
  /** Only who is told not to answer in time may be taken for silent, however busy the machine is. */
  const shop = (name = 'drinks-shop', timeoutMs = 10_000): Connector =>
    createHttpConnector({
      entry: { ...sandboxEntry(name, sandbox.url), timeoutMs },
      secretOf: () => '',
      nowMs: clock.now,
    });
  const send = async (method: string, url: string, body: unknown) =>
    (
      await fetch(`${sandbox.url}${url}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
    ).status;
  const tell = (body: unknown) => send('PUT', '/behaviour', body);
  const pieces = async () => (await (await fetch(`${sandbox.url}/pieces`)).json()) as CountedPiece[];

  beforeEach(async () => {
    tests += 1;
    sandbox = await start();
  });
  afterEach(() => sandbox.stop());
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const table: [DownstreamMode, string, string, number][] = [
    // mode                 first answer  then asked     handed out
    ['ok', 'fulfilled', 'fulfilled', 1],
    ['slow', 'unknown', 'fulfilled', 1],
    ['http-500', 'unknown', 'unheard-of', 0],
    ['http-500-but-done', 'unknown', 'fulfilled', 1],
    ['time-out-then-done', 'unknown', 'fulfilled', 1],
    ['time-out-not-done', 'unknown', 'unheard-of', 0],
    ['twice', 'fulfilled', 'fulfilled', 1],
    ['processing-for-ever', 'processing', 'processing', 0],
    ['processing-then-ok', 'processing', 'processing', 0],
    ['fail', 'failed', 'unheard-of', 0],
    ['reject', 'rejected', 'rejected', 0],
    ['cut-before', 'unknown', 'unheard-of', 0],
    ['cut-after', 'unknown', 'fulfilled', 1],
  ];
  it.each(table)('in mode %s answers %s, then %s, and hands out %d', async (mode, first, then, times) => {
    expect(await tell({ mode, lateMs: 60_000 })).toBe(200);
    const isSilent = mode === 'slow' || mode.startsWith('time-out');
    expect((await shop('drinks-shop', isSilent ? 150 : 10_000).give(one)).answer).toBe(first);
    expect((await shop().query(one)).answer).toBe(then);
    expect((await pieces()).reduce((sum, piece) => sum + piece.handedOutTimes, 0)).toBe(times);
  });

  it('has a row above for every mode', () => {
    expect(table.map(([mode]) => mode)).toEqual([...DOWNSTREAM_MODES]);
  });

  it('hands one order number of a phase out once, also at the same moment, and tells phases and shops apart', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => shop().give(one)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    await shop().give({ ...one, phaseKey: 4 as PhaseKey });
    await shop('cinema').give(one);
    const all = await pieces();
    expect(all.map((piece) => piece.handedOutTimes)).toEqual([1, 1, 1]);
    expect(new Set(all.map((piece) => piece.voucher)).size).toBe(3);
    // The same number for something else is not the same piece.
    expect((await shop().give({ ...one, item: 'other' })).answer).toBe('unknown');
  });

  it('remembers everything when it is started again, and ends what it was working on', async () => {
    const late = { ...one, orderNumber: '42_tea_8_drinks-coupon_live' as OrderNumber };
    await shop().give(one);
    await tell({ mode: 'processing-then-ok', lateMs: 60_000 });
    await shop().give(late);
    await sandbox.stop();
    const file = path.join(folder, String(tests), 'pieces.jsonl');
    appendFileSync(file, '{"connector":"cut o');
    sandbox = await start();
    expect(readFileSync(file, 'utf8').endsWith('}\n')).toBe(true);
    expect((await shop().query(one)).answer).toBe('fulfilled');
    expect((await shop().query(late)).answer).toBe('fulfilled');
    expect((await pieces()).map((piece) => piece.handedOutTimes)).toEqual([1, 1]);
  });

  it('behaves by item, by connector, or in all', async () => {
    await tell({ mode: 'reject', item: 'a' });
    await tell({ mode: 'fail', connector: 'cinema' });
    const give = async (connector: string, item: string) =>
      (await shop(connector).give({ ...one, item })).answer;
    expect([await give('drinks-shop', 'a'), await give('cinema', 'b'), await give('spa', 'b')]).toEqual([
      'rejected',
      'failed',
      'fulfilled',
    ]);
    await tell({ mode: 'ok' });
    expect([await give('cinema', 'b'), await give('hall', 'a')]).toEqual(['fulfilled', 'fulfilled']);
  });

  it.each([
    {},
    { mode: 'OK' },
    { mode: 'ok', lateMs: -1 },
    { mode: 'ok', item: 7 },
    { mode: 'ok', connector: '' },
    [],
    '{',
  ])('refuses to behave as %j', async (body) => {
    expect(await tell(body)).toBe(400);
  });

  const wanted = { orderNumber: 'a_b', phaseKey: 3, item: 'tea', actId: '42', worthFen: 0 };
  it.each([
    ['/shop/pieces', { ...wanted, orderNumber: '../x' }],
    ['/shop/pieces', { ...wanted, phaseKey: 0 }],
    ['/shop/pieces', { ...wanted, item: '' }],
    ['/shop/pieces', { ...wanted, actId: 42 }],
    ['/shop/pieces', { ...wanted, worthFen: 1.5 }],
    ['/sh_op/pieces', wanted],
    ['/shop/pieces', '{'],
  ])('hands out nothing at %s for %j', async (url, body) => {
    expect(await send('POST', url, body)).toBe(400);
    expect(await pieces()).toEqual([]);
  });
});
