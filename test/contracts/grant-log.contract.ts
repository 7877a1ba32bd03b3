import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GrantLog, LogReader, LogRecord } from '../../src/engines/ports.ts';
import type { SliceId } from '../../src/vocabulary/ids.ts';
import { aBatch, peopleOf, upTo } from '../support/batches.ts';

/** One log that survives its openings. */
export interface GrantLogEngine {
  /** Opens it; `onRecord` is told of what is there. At most one is open at a time. */
  open(onRecord?: (record: LogRecord) => void): Promise<GrantLog & LogReader>;
  /** The same log, that is open, as another process has it; where one process alone has it, the one that is open. */
  beside(open: GrantLog): GrantLog;
  destroy(): Promise<void>;
}

const slice = (sliceId: number, epoch: number) => ({ sliceId: BigInt(sliceId) as SliceId, epoch });

/** What every engine of the GrantLog port does. */
export function grantLogContract(name: string, make: () => Promise<GrantLogEngine>): void {
  describe(`${name} as a grant log`, () => {
    let engine: GrantLogEngine;
    let log: GrantLog & LogReader;

    beforeEach(async () => {
      engine = await make();
      log = await engine.open();
    });
    afterEach(async () => {
      await log.close();
      await engine.destroy();
    });

    it('is empty at first', async () => {
      expect([log.end(), log.drained()]).toEqual([0, 0]);
      expect(await log.read(0, 10)).toEqual([]);
      expect(log.health()).toEqual({ accepting: true });
    });

    it('numbers appends without gaps in the order they were asked for, and gives them back', async () => {
      const batches = upTo(50).map((at) => aBatch([at, at + 100]));
      expect(await Promise.all(batches.map((one) => log.append(one)))).toEqual(upTo(50));
      const records = await log.read(0, 1_000);
      expect(records).toEqual(batches.map((one, at) => ({ kind: 'grants', sequence: at + 1, ...one })));
      expect(await log.at(7)).toEqual(records[6]);
      expect(log.end()).toBe(50);
    });

    it('puts a fence behind every append that was asked for before it, and before those after', async () => {
      const [, fence, after] = await Promise.all([
        log.append(aBatch([1])),
        log.appendFence(slice(9, 2)),
        log.append(aBatch([2])),
      ]);
      expect([fence, after]).toEqual([2, 3]);
      expect(await log.at(2)).toEqual({ kind: 'fence', sequence: 2, ...slice(9, 2) });
    });

    it('has everything again after it was opened anew, and tells it in order', async () => {
      for (const people of [[1, 2], [3], [4, 5, 6]]) await log.append(aBatch(people));
      await log.appendFence(slice(3, 1));
      const before = await log.read(0, 100);
      await log.close();
      const told: LogRecord[] = [];
      log = await engine.open((record) => told.push(record));
      expect(told).toEqual(before);
      expect(await log.read(0, 100)).toEqual(before);
      expect(await log.append(aBatch([7]))).toBe(5);
    });

    it('says where it ends now, fences counted, whoever appended', async () => {
      expect(await log.endNow()).toBe(0);
      const other = engine.beside(log);
      await log.append(aBatch([1]));
      expect([await log.endNow(), await other.endNow()]).toEqual([1, 1]);
      // At once: nothing needs to arrive at whoever asks.
      await other.append(aBatch([2]));
      expect(await log.endNow()).toBe(2);
      await other.appendFence(slice(4, 1));
      expect(await Promise.all(upTo(20).map(() => log.endNow()))).toEqual(upTo(20).map(() => 3));
      expect(await other.append(aBatch([3]))).toBe(4);
      expect(await log.endNow()).toBe(4);
      if (other !== log) await other.close();
      await log.close();
      log = await engine.open();
      expect(await log.endNow()).toBe(4);
    });

    it('says no end that leaves out what was acknowledged before it was asked, while others append', async () => {
      const other = engine.beside(log);
      const appending = async (into: GrantLog, from: GrantLog) => {
        for (const person of upTo(20)) {
          const sequence = await into.append(aBatch([person]));
          expect(await from.endNow()).toBeGreaterThanOrEqual(sequence);
        }
      };
      await Promise.all([appending(log, other), appending(other, log), appending(other, other)]);
      expect(await log.endNow()).toBe(60);
      if (other !== log) await other.close();
    });

    it('reads whole records and stops once it has enough orders', async () => {
      for (const people of [[1, 2], [3, 4], [5], [6, 7, 8]]) await log.append(aBatch(people));
      const read = async () => [
        peopleOf(await log.read(0, 1)),
        peopleOf(await log.read(0, 3)),
        peopleOf(await log.read(2, 2)),
        peopleOf(await log.read(4, 10)),
      ];
      const expected = [[1, 2], [1, 2, 3, 4], [5, 6, 7, 8], []];
      expect(await read()).toEqual(expected);
      await log.close();
      log = await engine.open();
      expect(await read()).toEqual(expected);
    });

    it('throws for a place where there is nothing', async () => {
      await log.append(aBatch([1]));
      for (const sequence of [0, 2, -1, 1.5, Number.NaN]) await expect(log.at(sequence)).rejects.toThrow();
    });

    it('wakes those who wait for more, at once when it is there, and when they give up', async () => {
      const waiting = log.beyond(0, new AbortController().signal);
      await log.append(aBatch([1]));
      await waiting;
      await log.beyond(0, new AbortController().signal);
      const given = new AbortController();
      const stopped = log.beyond(1, given.signal);
      given.abort();
      await stopped;
      await log.beyond(1, AbortSignal.abort());
    });

    it('remembers how far it was drained, and never goes back', async () => {
      for (const person of upTo(5)) await log.append(aBatch([person]));
      await log.acknowledge(3);
      await log.acknowledge(2);
      expect(log.drained()).toBe(3);
      await log.close();
      log = await engine.open();
      expect(log.drained()).toBe(3);
    });

    it('refuses once it is closed, and may be closed twice', async () => {
      await log.close();
      await log.close();
      await expect(log.append(aBatch([1]))).rejects.toMatchObject({ kind: 'log-unavailable' });
      await expect(log.endNow()).rejects.toMatchObject({ kind: 'log-unavailable' });
      expect(log.health().accepting).toBe(false);
    });

    it('finishes at its closing what was asked for before', async () => {
      const appended = log.append(aBatch([1]));
      await log.close();
      expect(await appended).toBe(1);
      log = await engine.open();
      expect(log.end()).toBe(1);
    });
  });
}
