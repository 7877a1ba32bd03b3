import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch, peopleOf, upTo } from '../../../test/support/batches.ts';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { quiet } from '../../../test/support/postgres.ts';
import { until } from '../../../test/support/rig.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import { openJournal } from '../embedded/journal/index.ts';
import { createAbsence } from './absence.ts';
import { ownerConsumers } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import type { Generation } from './generations.ts';
import { createJetStreamLog, type JetStreamLog, type JetStreamLogOptions } from './grant-log.ts';
import { openJournaledLog } from './journaled-log.ts';
import { openOwnedLog } from './owned-log.ts';
import { rememberedStreams } from './remembered-streams.ts';
import { ensureStream, ensureStreams, type PastLog, StreamMissing } from './streams.ts';

const never = new AbortController().signal;
const slice = (id: number) => ({ sliceId: BigInt(id) as SliceId, epoch: 1 });

describe('that there is no stream', () => {
  it('is proven by the same answer, many times over a long time', () => {
    let nowMs = 0;
    const absence = createAbsence({ monotonicMs: () => nowMs }, 1_000);
    for (const _ of upTo(20)) expect(absence.confirm()).toBe(false);
    nowMs += 999;
    expect(absence.confirm()).toBe(false);
    nowMs += 1;
    expect(absence.confirm()).toBe(true);
    absence.broken();
    expect(absence.confirm()).toBe(false);
    nowMs += 60_000;
    // Long enough, but who was frozen in between has heard too few answers.
    expect(absence.confirm()).toBe(false);
  });
});

describe('a stream that the servers have lost', () => {
  let nats: TestNats;
  let link: NatsLink;
  let space: string;
  let spaces = 0;
  let folder: string;
  const open = new Set<{ close(): Promise<void> }>();
  /** What the ledger has fenced. */
  let fences: ReturnType<typeof slice>[];

  beforeAll(async () => {
    nats = await startTestNats();
  });
  afterAll(async () => {
    await nats.stop();
  });
  beforeEach(async () => {
    spaces += 1;
    space = `anew-${spaces}`;
    fences = [];
    link = await nats.link();
    folder = mkdtempSync(path.join(tmpdir(), 'hongbao-anew-'));
    await ensureStreams(link, settings(), past(0));
  });
  afterEach(async () => {
    for (const one of [...open].reverse()) await one.close();
    open.clear();
    rmSync(folder, { recursive: true, force: true });
  });

  const settings = () => ({ space, buckets: 1, replicas: 1, bytesMax: 1 << 26 });
  const stream = () => `${space}-0`;
  const past = (proofMs: number, wasThere = false): PastLog => ({
    wasThere: async () => wasThere,
    fences: async () => fences,
    absences: [createAbsence(link.clock, proofMs)],
    beforeOpening: async () => {},
  });
  const makeAnew = () => ensureStream(link, settings(), 0, past(0, true));
  const lose = () => link.jsm.streams.delete(stream());
  const begin = async () => (await link.jsm.streams.info(stream())).config.first_seq;

  function logOf(life: JetStreamLogOptions['life'] = {}, boot = 'boot'): JetStreamLog {
    const log = createJetStreamLog({ link, space, bucket: 0, bootId: boot, replicas: 1, life });
    open.add(log);
    return log;
  }

  /** A process with a journal. */
  async function process(name: string, { graceMs = 0, cluster = 'this' } = {}) {
    const journal = await openJournal({ folder: path.join(folder, name), logger: quiet });
    const remembered = rememberedStreams({
      file: path.join(folder, `${name}.json`),
      cluster,
      drained: journal.drained(),
      logger: quiet,
    });
    const log = logOf(
      {
        graceMs,
        known: remembered.of(0),
        isFirst: remembered.areForeign,
        adopt: (generation) => remembered.note(0, generation),
      },
      name,
    );
    const told: Generation[] = [];
    const journaled = await openJournaledLog({
      journal,
      streams: [log],
      logger: quiet,
      foreignUpTo: remembered.foreignUpTo,
      onComplete: (bucket, generation) => {
        remembered.note(bucket, generation);
        told.push(generation);
      },
    });
    let isClosed = false;
    const close = async () => {
      if (isClosed) return;
      isClosed = true;
      await journaled.close();
      await journal.close();
    };
    open.add({ close });
    await until(() => log.generation() !== undefined, 'it knows its stream');
    return { journaled, bucket: journaled.bucket(0), told, close };
  }

  async function streamed(): Promise<(number[] | 'fence')[]> {
    const reader = logOf({}, 'reader');
    const { state } = await link.jsm.streams.info(stream());
    const found: (number[] | 'fence')[] = [];
    for (let at = state.first_seq; at <= state.last_seq; at += 1) {
      const record = await reader.at(at);
      found.push(record.kind === 'fence' ? 'fence' : peopleOf([record]));
    }
    return found;
  }

  it('is made at once where there never was one, and only when it is surely gone where there was', async () => {
    expect(await begin()).toBeUndefined();
    await lose();
    await expect(ensureStreams(link, settings(), past(60_000, true))).rejects.toThrow(StreamMissing);
    await expect(link.jsm.streams.info(stream())).rejects.toThrow('not found');
    await ensureStreams(link, settings(), past(0, true));
    expect(await begin()).toBeGreaterThan(1e12);
  });

  it('begins behind every place of the lost one, with the fences of the closed slices', async () => {
    const log = logOf();
    expect(await log.append(aBatch([2]))).toBe(1);
    fences = [slice(7), slice(8)];
    await lose();
    await makeAnew();
    const first = (await begin())!;
    expect(await streamed()).toEqual(['fence', 'fence']);
    await expect(log.at(1)).rejects.toThrow('no record 1');
    expect(await log.append(aBatch([4]))).toBe(first + 2);
    await makeAnew();
    expect(await streamed()).toHaveLength(3);
  });

  it('takes no grants before it has all fences, and anybody finishes what was begun', async () => {
    const log = logOf();
    await lose();
    fences = [slice(7)];
    const broken = { ...past(0, true), beforeOpening: () => Promise.reject(new Error('died')) };
    await expect(ensureStream(link, settings(), 0, broken)).rejects.toThrow('died');
    await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    await expect(log.appendFence(slice(9))).rejects.toMatchObject({ kind: 'log-unavailable' });
    await until(() => !log.health().accepting, 'its health says so');
    await Promise.all([makeAnew(), makeAnew()]);
    await until(() => log.health().accepting, 'it takes grants');
    await log.append(aBatch([2]));
    const found = await streamed();
    expect(found.at(-1)).toEqual([2]);
    expect(found[0]).toBe('fence');
  });

  it('gets everything again that the journals hold, credited or not, and whoever was away does so later', async () => {
    const [here, away] = [await process('here'), await process('away')];
    for (const person of [2, 4]) await here.bucket.append(aBatch([person]));
    await away.bucket.append(aBatch([6]));
    await away.close();
    await lose();
    await makeAnew();
    await link.nc.reconnect();
    await until(() => here.told.length > 0, 'everything is published again');
    expect((await streamed()).flat().sort()).toEqual([2, 4]);
    const back = await process('away');
    await until(() => back.told.length > 0, 'everything of it, too');
    expect((await streamed()).flat().sort()).toEqual([2, 4, 6]);
    await back.close();
    const again = await process('away');
    expect(await again.bucket.append(aBatch([8]))).toBe((await begin())! + 3);
  });

  it('gets nothing that was promised in another cluster', async () => {
    const drill = await process('reused', { cluster: 'drill' });
    await drill.bucket.append(aBatch([2]));
    await until(() => drill.journaled.owed() === 0, 'nothing is owed');
    await drill.close();
    await lose();
    await makeAnew();
    const live = await process('reused', { cluster: 'live' });
    await live.bucket.append(aBatch([4]));
    expect([await streamed(), live.told]).toEqual([[[4]], []]);
    // Nor when it is lost once more.
    await live.close();
    await lose();
    await makeAnew();
    const again = await process('reused', { cluster: 'live' });
    await until(() => again.told.length > 0, 'everything is published again');
    expect(await streamed()).toEqual([[4]]);
  });

  it('takes a fence only once nobody owes it anything, and a while after it was met', async () => {
    const [owing, control] = [await process('owing'), await process('control')];
    await owing.bucket.append(aBatch([2]));
    const slow = await process('slow', { graceMs: 60_000 });
    await lose();
    await makeAnew();
    // Has not heard of it yet: his fence may not go before what the others publish.
    await expect(slow.bucket.appendFence(slice(7))).rejects.toThrow('made anew');
    await expect(slow.bucket.endNow()).rejects.toThrow('made anew');
    const indebted = logOf({ graceMs: 0 }, 'indebted');
    let owes = true;
    indebted.whenAnew(
      () => {},
      () => owes,
    );
    await link.nc.reconnect();
    await until(() => owing.told.length > 0, 'everything is published again');
    owes = false;
    await until(() => control.told.length > 0, 'control owes nothing either');
    await expect(control.bucket.appendFence(slice(7))).rejects.toThrow('nobody credits');
    const owner = await ownerOf(1);
    await expect(control.bucket.appendFence(slice(7))).rejects.toThrow('published again');
    owner.compared?.();
    await control.bucket.appendFence(slice(7));
    expect(await control.bucket.endNow()).toBe((await begin())! + 1);
    expect((await streamed()).at(-1)).toBe('fence');
  });

  it('satisfies nobody who waits for a place of the lost one', async () => {
    const log = logOf();
    const place = await log.append(aBatch([2]));
    const waiting = log.untilDrained(place, never);
    const failing = expect(waiting).rejects.toMatchObject({ kind: 'draining' });
    await lose();
    await makeAnew();
    const owner = await ownerOf(1);
    await owner.acknowledge(await log.append(aBatch([4])));
    await failing;
  });

  it('is read under another consumer’s name than the lost one, by an owner of the same epoch', async () => {
    const log = logOf();
    await log.append(aBatch([2]));
    const before = await ownerOf(1);
    expect(before.begin?.()).toBe(1);
    await lose();
    await makeAnew();
    const first = (await begin())!;
    const owner = await ownerOf(1);
    expect([owner.begin?.(), owner.drained()]).toEqual([first, first - 1]);
    await log.append(aBatch([4]));
    await owner.beyond(first - 1, never);
    expect(peopleOf(await owner.read(first - 1, 10))).toEqual([4]);
    expect((await ownerConsumers(link, stream())).map(({ name }) => name)).toEqual([`credit-1-${first}`]);
    await until(before.lost, 'the old owner finds out');
  });

  async function ownerOf(epoch: number) {
    let isLost = false;
    const owner = await openOwnedLog({
      link: await nats.link(),
      space,
      bucket: 0,
      epoch,
      confirm: async () => true,
      onLost: () => {
        isLost = true;
      },
    });
    open.add(owner);
    return { ...owner, lost: () => isLost };
  }
});
