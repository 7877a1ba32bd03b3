import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Journal, openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { GrantLog } from '../../src/engines/ports.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { type Keyring, openKeyring } from '../../src/stations/4-seal/keyring.ts';
import { createSealingLine, promisedAt } from '../../src/stations/4-seal/sealing-line.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { upTo } from '../support/batches.ts';
import { anOrder } from '../support/orders.ts';

const clock = { now: () => instantMs(1_800_000_000_000), monotonicMs: () => 0 };
const orders = (count: number) => upTo(count).map((person) => anOrder({ person }));

describe('the sealing line', () => {
  let folder: string;
  let keyring: Keyring;
  let atMs = 0;
  const nowMs = () => atMs;
  let log: Journal;
  const open = () => openJournal({ folder: path.join(folder, 'journal'), logger: pino({ level: 'silent' }) });

  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-seal-'));
    keyring = openKeyring(path.join(folder, 'keys'), clock);
    log = await open();
  });
  afterEach(async () => {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('closes a micro-batch when it is full, and the rest a moment later', async () => {
    const sizes: number[] = [];
    const onAppended = async (entries: readonly unknown[]) => void sizes.push(entries.length);
    const line = createSealingLine({ keyring, nowMs, log, onAppended, batchOrdersMax: 8 });
    const promised = await Promise.all(orders(20).map((order) => line.promise(order)));
    expect(sizes).toEqual([8, 8, 4]);
    expect(promised.map(({ position }) => position)).toEqual(
      upTo(20).map((at) => ({ sequence: 1 + Math.floor((at - 1) / 8), leafIndex: (at - 1) % 8 })),
    );
  });

  it('answers only after the append is durable and the book knows', async () => {
    const seen: string[] = [];
    const watched: GrantLog = {
      ...log,
      async append(batch) {
        const sequence = await log.append(batch);
        seen.push('durable');
        return sequence;
      },
    };
    const onAppended = async () => {
      await new Promise(setImmediate);
      seen.push('in the book');
    };
    const line = createSealingLine({ keyring, nowMs, log: watched, onAppended });
    await line.promise(anOrder({ person: 1 })).then(() => seen.push('answered'));
    expect(seen).toEqual(['durable', 'in the book', 'answered']);
  });

  it('makes the same token again from the log, byte for byte, after a rotation and a restart too', async () => {
    const line = createSealingLine({ keyring, nowMs, log, onAppended: async () => {}, batchOrdersMax: 7 });
    const promised = await Promise.all(orders(20).map((order) => line.promise(order)));
    keyring.rotate();
    await log.close();
    log = await open();
    for (const { position, token } of promised)
      expect(Buffer.from((await promisedAt(log, position!)).token).equals(token)).toBe(true);
  });

  it('tells everyone in a batch when the log refuses, and seals the next one', async () => {
    let refuse = true;
    const moody: GrantLog = {
      ...log,
      append: (batch) =>
        refuse ? Promise.reject(new RetryableFault('log-unavailable', 'full', 1)) : log.append(batch),
    };
    const line = createSealingLine({ keyring, nowMs, log: moody, onAppended: async () => {} });
    const answers = await Promise.allSettled(orders(3).map((order) => line.promise(order)));
    expect(answers.map((one) => one.status)).toEqual(['rejected', 'rejected', 'rejected']);
    refuse = false;
    expect((await line.promise(anOrder({ person: 9 }))).position).toEqual({ sequence: 1, leafIndex: 0 });
  });

  it('neither answers nor tells the book of what was held up beyond its lease; the rest of the batch is promised', async () => {
    const told: string[] = [];
    const slow: GrantLog = {
      ...log,
      append: async (batch) => {
        const sequence = await log.append(batch);
        atMs = 5_000;
        return sequence;
      },
    };
    atMs = 0;
    const onAppended = async (entries: readonly { order: { orderNumber: string } }[]) =>
      void told.push(...entries.map(({ order }) => order.orderNumber));
    const line = createSealingLine({ keyring, nowMs, log: slow, onAppended });
    const [late, fine] = orders(2);
    const answers = await Promise.allSettled([line.promise(late!, 4_999), line.promise(fine!, 5_000)]);
    expect(answers.map((one) => one.status)).toEqual(['rejected', 'fulfilled']);
    expect((answers[0] as PromiseRejectedResult).reason).toMatchObject({ kind: 'outcome-unknown' });
    expect((answers[1] as PromiseFulfilledResult<unknown>).value).toMatchObject({
      position: { leafIndex: 1 },
    });
    expect(told).toEqual([fine!.orderNumber]);
  });

  it('makes the promise without the log when it may, but for what is refused there', async () => {
    const down: GrantLog = {
      ...log,
      append: () => Promise.reject(new RetryableFault('log-unavailable', 'gone', 1)),
    };
    const [refused, fine] = orders(2);
    const told: unknown[] = [];
    const line = createSealingLine({
      keyring,
      nowMs,
      log: down,
      onAppended: async (entries) => void told.push(...entries),
      withoutLog: async () => new Set([refused!.orderNumber]),
    });
    const answers = await Promise.allSettled([line.promise(refused!), line.promise(fine!)]);
    expect((answers[0] as PromiseRejectedResult).reason).toMatchObject({ kind: 'slice-fenced' });
    expect((answers[1] as PromiseFulfilledResult<unknown>).value).toMatchObject({ position: undefined });
    expect(told).toEqual([]);
  });

  /** Of the log first, then of the way without it: what the person is told when both fail. */
  it.each([
    ['log-unavailable', 'log-unavailable', 'log-unavailable'],
    ['outcome-unknown', 'log-unavailable', 'outcome-unknown'],
    ['log-unavailable', 'ledger-unavailable', 'outcome-unknown'],
  ] as const)('when the log says %s, and without it %s: it is %s', async (kind, instead, told) => {
    const append = () => Promise.reject(new RetryableFault(kind, 'the log', 1));
    const line = createSealingLine({
      keyring,
      nowMs,
      log: { ...log, append },
      onAppended: async () => {},
      withoutLog: () => Promise.reject(new RetryableFault(instead, 'without it', 1)),
    });
    await expect(line.promise(anOrder({ person: 1 }))).rejects.toMatchObject({ kind: told });
  });

  it('is drained when nothing waits and nothing is under way', async () => {
    const line = createSealingLine({ keyring, nowMs, log, onAppended: async () => {}, batchDelayMs: 60_000 });
    const answered: number[] = [];
    for (const [at, order] of orders(3).entries()) void line.promise(order).then(() => answered.push(at));
    await line.drain();
    expect(answered).toEqual([0, 1, 2]);
    await line.drain();
  });

  it('never uses a nonce twice', async () => {
    const line = createSealingLine({ keyring, nowMs, log, onAppended: async () => {}, batchOrdersMax: 1 });
    await Promise.all(orders(500).map((order) => line.promise(order)));
    const records = await log.read(0, 1_000);
    const nonces = records.map((record) =>
      record.kind === 'grants' ? Buffer.from(record.seal.nonce).toString('hex') : '',
    );
    expect(new Set(nonces).size).toBe(500);
  });
});
