import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { seeded, testSeed } from '../support/orders.ts';
import {
  creditedOf,
  LIVE_KEY,
  listOf,
  pieces,
  plugOf,
  type ReissueStage,
  startReissueStage,
} from '../support/reissue.ts';
import { ledgerFaults, until } from '../support/rig.ts';

const people = (count: number, name: string, fen = 10) =>
  Array.from({ length: count }, (_, at) => ({ user: `${name}${at}`, fen }));

describe('a list that is given after the fact', () => {
  let stage: ReissueStage;

  beforeAll(async () => {
    stage = await startReissueStage();
  });
  afterAll(() => stage.stop());

  const isDone = (id: number) => async () => (await stage.reissues.job(id))!.state === 'done';
  const start = async (id: number) => {
    const view = await stage.desk.act(id, 'start', 'ann', undefined);
    if (isRefusal(view)) throw new Error(view.detail);
  };
  const outcomes = async (id: number) => stage.reissues.counts(id);
  const remaining = async (scene: string) =>
    (await stage.rig.allotments.budgets(LIVE_KEY)).find((line) => line.sceneId === scene)!.remaining;

  it('gives each line once, the whole budget and nothing over, with control killed anywhere', async () => {
    const lines = 3_000;
    const random = seeded(testSeed('reissue'));
    // Exactly as much as is needed: what a killed control had leased has to come home for the last lines.
    await stage.addScene('tight', { fen: lines * 10, packets: lines });
    const { id } = await stage.approved(listOf('tight', people(lines, 'tight')));
    await stage.desk.setRate(id, 10_000, 'ann');
    await start(id);
    let kills = 0;
    while (kills < 8) {
      let pulled = false;
      const pull = () => {
        pulled = true;
      };
      const acts = 1 + Math.floor(random() * 700);
      stage.startControl({ plug: plugOf(acts, pull) });
      const isOver = isDone(id);
      await stage.pump(async () => pulled || (await isOver()), `the kill after ${acts} acts`);
      kills += 1;
    }
    const control = stage.startControl();
    await stage.pump(isDone(id), 'the end of the list');
    await control.stop();

    expect(await outcomes(id)).toEqual({ granted: lines });
    await until(async () => (await creditedOf(stage.pool, 'tight')).orders === lines, 'crediting');
    expect(await creditedOf(stage.pool, 'tight')).toEqual({
      orders: lines,
      numbers: lines,
      fen: lines * 10,
    });
    const results = await stage.results(id);
    expect(results.map((one) => one.line)).toEqual(Array.from({ length: lines }, (_, at) => at + 2));
    expect(new Set(results.map((one) => one.orderNumber)).size).toBe(lines);
    await stage.pump(async () => (await stage.rig.allotments.unclosed()).length === 0, 'slices at home');
    expect(await remaining('tight')).toEqual({ fen: 0n, packets: 0 });
    expect(await ledgerFaults(stage.pool)).toEqual([]);
  });

  it('refuses exactly what the budget can’t pay, and gives it when the budget was raised', async () => {
    await stage.addScene('small', { fen: 7_000, packets: 1_000 });
    const { id, needs, suffices } = await stage.approved(listOf('small', people(1_000, 'small')));
    expect(needs).toMatchObject([
      { sceneId: 'small', lines: 1_000, fen: 10_000n, remaining: { fen: 7_000n }, suffices: false },
    ]);
    expect(suffices).toBe(false);
    await stage.desk.setRate(id, 10_000, 'ann');
    await start(id);
    const control = stage.startControl();
    await stage.pump(isDone(id), 'the end of the list');
    expect(await outcomes(id)).toEqual({ granted: 700, refused: 300 });
    const refused = await stage.reissues.results(id, 0, 1_000, ['refused']);
    expect(refused[0]!.reason).toMatch(/^budget-exhausted/);

    await stage.addScene('small', { fen: 10_000, packets: 1_000 });
    await start(id);
    await stage.pump(isDone(id), 'the rest of the list');
    await control.stop();
    expect(await outcomes(id)).toEqual({ granted: 1_000 });
    await until(async () => (await creditedOf(stage.pool, 'small')).fen === 10_000, 'crediting');
  });

  it('answers "already" for what a person has, whatever else the line says, and asks for no duplicate', async () => {
    await stage.addScene('again', { fen: 100_000, packets: 1_000 });
    const control = stage.startControl();
    const first = await stage.approved(listOf('again', people(3, 'again')));
    await start(first.id);
    await stage.pump(isDone(first.id), 'the first list');
    await until(async () => (await creditedOf(stage.pool, 'again')).orders === 3, 'crediting');

    const second = await stage.approved(
      listOf('again', [
        { user: 'again0', fen: 10 },
        { user: 'again1', fen: 99 },
        { user: 'new', fen: 5 },
        { user: 'new', fen: 6 },
        { user: 'again2', fen: 10, rain: 2 },
      ]),
    );
    expect(second).toMatchObject({ givenBefore: 2, counts: { waiting: 4, duplicate: 1 } });
    await start(second.id);
    await stage.pump(isDone(second.id), 'the second list');
    await control.stop();
    expect((await stage.results(second.id)).map((one) => [one.line, one.outcome, one.reason])).toEqual([
      [2, 'already', undefined],
      [3, 'already', undefined],
      [4, 'granted', undefined],
      [5, 'duplicate', 'the same order as line 4'],
      [6, 'granted', undefined],
    ]);
  });

  it('refuses what is over a person’s cap, with the reason', async () => {
    await stage.addScene('cap', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(
      listOf(
        'cap',
        [1, 2, 3, 4, 5, 6].map((rain) => ({ user: 'greedy', fen: 1, rain })),
      ),
    );
    await start(id);
    const control = stage.startControl();
    await stage.pump(isDone(id), 'the end of the list');
    await control.stop();
    expect(await outcomes(id)).toEqual({ granted: 5, refused: 1 });
    const [refused] = await stage.reissues.results(id, 0, 10, ['refused']);
    expect(refused!.reason).toMatch(/^person-cap-reached/);
  });

  it('asks again, under the same order number, for what it got no answer to', async () => {
    await stage.addScene('moody', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(listOf('moody', people(60, 'moody')));
    await start(id);
    let left = 3;
    const moody = {
      around:
        <Args extends unknown[], Result>(act: (...args: Args) => Promise<Result>) =>
        async (...args: Args): Promise<Result> => {
          const result = await act(...args);
          const isGrant = typeof result === 'object' && result !== null && 'token' in result;
          if (isGrant && left-- > 0) throw new RetryableFault('outcome-unknown', 'no answer', 1);
          return result;
        },
    };
    const control = stage.startControl({ plug: moody });
    await stage.pump(isDone(id), 'the end of the list');
    await control.stop();
    expect(await outcomes(id)).toEqual({ granted: 60 });
    await until(async () => (await creditedOf(stage.pool, 'moody')).orders === 60, 'crediting');
    expect(await creditedOf(stage.pool, 'moody')).toMatchObject({ orders: 60, numbers: 60 });
  });

  it('is one control’s at a time, and another’s when that one is gone; who wakes up late changes nothing', async () => {
    await stage.addScene('two', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(listOf('two', people(40, 'two')));
    await start(id);
    let wakeUp = () => {};
    const asleep = new Promise<void>((resolve) => {
      wakeUp = resolve;
    });
    let asked = 0;
    const first = stage.startControl({
      worker: 'first',
      ask: async (line) => {
        asked += 1;
        await asleep;
        return {
          answer: 'settled',
          settled: { line: line.line, outcome: 'refused', reason: 'said too late' },
        };
      },
    });
    await until(() => asked > 0, 'the first control');
    // Started again, the first would have it at once; anybody else waits.
    const { rows } = await stage.pool.query<{ worker: string }>(
      'SELECT worker FROM reissue.job WHERE job_id = $1',
      [id],
    );
    expect(rows).toEqual([{ worker: 'first' }]);
    const second = stage.startControl({ worker: 'second' });
    expect(await stage.reissues.claim('third', stage.clock.now(), stage.clock.now(), [])).toBeUndefined();
    await stage.pump(isDone(id), 'the second control');
    wakeUp();
    await first.stop();
    await second.stop();
    expect(await outcomes(id)).toEqual({ granted: 40 });
  });

  it('is taken back at once by a control that was started again', async () => {
    await stage.addScene('back', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(listOf('back', people(10, 'back')));
    await start(id);
    let pulled = false;
    const pull = () => {
      pulled = true;
    };
    stage.startControl({ worker: 'same', plug: plugOf(3, pull) });
    await until(() => pulled, 'the kill');
    const nowMs = stage.clock.now();
    expect(await stage.reissues.claim('another', nowMs, nowMs, [])).toBeUndefined();
    const control = stage.startControl({ worker: 'same' });
    // No time passes: the lease of before does not end.
    await until(isDone(id), 'the end of the list');
    expect(stage.clock.now()).toBe(nowMs);
    await control.stop();
    expect(await outcomes(id)).toEqual({ granted: 10 });
  });

  it('is taken from a control that died while its clock was ahead, once clocks are right again', async () => {
    await stage.addScene('ahead', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(listOf('ahead', people(10, 'ahead')));
    await start(id);
    const nowMs = stage.clock.now();
    const claimed = (worker: string, fromMs: number) =>
      stage.reissues.claim(worker, instantMs(fromMs), instantMs(fromMs + 15_000), []);
    expect(await claimed('dead', nowMs + 1_200_000)).toMatchObject({ jobId: id });
    // No longer than a lease lasts, and a little: it may be alive.
    expect(await claimed('another', nowMs + 1_200_000 - 60_000)).toBeUndefined();
    expect(await claimed('another', nowMs)).toMatchObject({ jobId: id });
    expect(await claimed('third', nowMs)).toBeUndefined();
    const control = stage.startControl({ worker: 'another' });
    await until(isDone(id), 'the end of the list', 30_000);
    await control.stop();
    expect(await outcomes(id)).toEqual({ granted: 10 });
  });

  it('begins nothing once it is paused, goes on, and when cancelled only ends what was begun', async () => {
    await stage.addScene('stop', { fen: 100_000, packets: 1_000 });
    const { id } = await stage.approved(listOf('stop', people(500, 'stop')));
    await start(id);
    const control = stage.startControl();
    await stage.pump(async () => ((await outcomes(id)).granted ?? 0) > 0, 'the first lines');
    await stage.desk.act(id, 'pause', 'ann', undefined);
    await stage.pump(async () => (await outcomes(id)).asking === undefined, 'what was begun');
    const paused = await outcomes(id);
    expect(paused.granted! + paused.waiting!).toBe(500);
    await start(id);
    await stage.pump(async () => (await outcomes(id)).granted! > paused.granted!, 'more lines');
    await stage.desk.act(id, 'cancel', 'bob', undefined);
    await stage.pump(async () => (await outcomes(id)).asking === undefined, 'what was begun');
    await control.stop();
    const cancelled = await outcomes(id);
    expect(cancelled.granted! + cancelled.waiting!).toBe(500);
    await until(async () => (await creditedOf(stage.pool, 'stop')).orders === cancelled.granted, 'crediting');
    expect((await stage.results(id)).filter((one) => one.outcome === undefined)).toHaveLength(
      cancelled.waiting!,
    );
    expect((await stage.reissues.events(id)).map(({ by, act }) => `${by} ${act}`)).toEqual([
      'ann made',
      'engine checked',
      'bob approve',
      'ann start',
      'ann pause',
      'ann start',
      'bob cancel',
    ]);
  });

  it('keeps a list whole or not at all, and the same content is the same job until it is cancelled', async () => {
    const list = listOf('cash', [{ user: 'one' }]);
    const bring = async (text: string, by = 'ann') => {
      const brought = await stage.desk.bring(pieces(text), by);
      if (isRefusal(brought)) throw new Error(brought.detail);
      return brought;
    };
    const [one, other] = await Promise.all([bring(list), bring(list, 'bob')]);
    expect(one!.view.id).toBe(other!.view.id);
    expect([one!.isNew, other!.isNew].sort()).toEqual([false, true]);
    expect((await bring(`${list}\n`)).view.id).not.toBe(one!.view.id);
    await stage.desk.act(one!.view.id, 'cancel', 'ann', undefined);
    expect((await bring(list)).view.id).not.toBe(one!.view.id);
    const before = (await stage.desk.jobs()).length;
    const broken = await stage.desk.bring(pieces(`${list}\n${'\n'.repeat(3)}`.replace('user', 'usr')), 'ann');
    expect(broken).toMatchObject({
      refused: 'malformed',
      detail: expect.stringContaining('did you mean "user"?'),
    });
    expect(await stage.desk.jobs()).toHaveLength(before);
    const { rows } = await stage.pool.query<{ kept: string }>(
      "SELECT encode(user_key, 'escape') AS kept FROM reissue.line WHERE user_key IS NOT NULL",
    );
    expect(rows.some(({ kept }) => kept.includes('one'))).toBe(false);
  });

  it('is approved by another person than who made it, of the content that was looked at, without a wrong line', async () => {
    await stage.addScene('eyes', { fen: 100_000, packets: 1_000 });
    const brought = await stage.desk.bring(
      pieces(`${listOf('eyes', people(2, 'eyes'))}\ngala,eyes,1,demo,x,,`),
      'ann',
    );
    if (isRefusal(brought)) throw new Error(brought.detail);
    const { id, contentHash } = brought.view;
    const approve = (by: string, hash = contentHash) => stage.desk.act(id, 'approve', by, hash);
    expect(await approve('bob')).toMatchObject({ refused: 'reissue-not-now' });
    const control = stage.startControl();
    await stage.pump(async () => (await stage.reissues.job(id))!.state === 'draft', 'the check');
    await control.stop();
    expect(await approve('ann')).toMatchObject({ refused: 'forbidden' });
    expect(await approve('bob', '00')).toMatchObject({ refused: 'reissue-changed' });
    expect(await approve('bob')).toMatchObject({
      refused: 'reissue-not-now',
      detail: expect.stringContaining('1 lines'),
    });
    expect(await stage.desk.act(id, 'start', 'bob', undefined)).toMatchObject({ refused: 'reissue-not-now' });
    const [wrong] = await stage.reissues.results(id, 0, 10, ['wrong']);
    expect(wrong).toMatchObject({ line: 4, reason: expect.stringContaining('amountFen "" is no amount') });
    // The database itself has the last word.
    await expect(
      stage.pool.query('UPDATE reissue.job SET approved_by = made_by WHERE job_id = $1', [id]),
    ).rejects.toThrow(/check constraint/);
  });
});
