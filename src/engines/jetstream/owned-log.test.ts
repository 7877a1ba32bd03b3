import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch, peopleOf, upTo } from '../../../test/support/batches.ts';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { until } from '../../../test/support/rig.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import { highestFloor, ownerConsumers } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import { createJetStreamLog, type JetStreamLog } from './grant-log.ts';
import { type OwnedLog, openOwnedLog } from './owned-log.ts';
import { ensureStreams } from './streams.ts';
import { OwnershipLost } from './takeover.ts';

let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(async () => {
  await nats.stop();
});

const never = new AbortController().signal;
let spaces = 0;
let space: string;
let link: NatsLink;
let log: JetStreamLog;

beforeEach(async () => {
  spaces += 1;
  space = `owned-${spaces}`;
  link = await nats.link();
  await ensureStreams(link, { space, buckets: 1, replicas: 1, bytesMax: 1 << 28 });
  log = createJetStreamLog({ link, space, bucket: 0, bootId: 'boot', replicas: 1 });
});

interface Opening {
  epoch: number;
  ackWaitMs?: number;
  ackPendingMax?: number;
  confirm?: () => Promise<boolean>;
}

async function own(opening: Opening): Promise<OwnedLog & { lost: () => boolean }> {
  let isLost = false;
  const reader = await openOwnedLog({
    link: await nats.link(),
    space,
    bucket: 0,
    confirm: async () => true,
    ...opening,
    onLost: () => {
      isLost = true;
    },
  });
  return { ...reader, lost: () => isLost };
}

async function readUpTo(reader: OwnedLog, sequence: number): Promise<number[]> {
  await reader.beyond(sequence - 1, never);
  return peopleOf(await reader.read(reader.drained(), 10_000));
}

const slice = (sliceId: number, epoch = 1) => ({ sliceId: BigInt(sliceId) as SliceId, epoch });
const floor = async () => highestFloor(await ownerConsumers(link, `${space}-0`));

describe('the owner of a bucket', () => {
  it('hands over where it has acknowledged, and the next one begins right there', async () => {
    for (const person of upTo(6)) await log.append(aBatch([person]));
    const first = await own({ epoch: 1 });
    expect(await readUpTo(first, 6)).toEqual(upTo(6));
    await first.acknowledge(4);
    await first.close();
    const second = await own({ epoch: 2 });
    expect(second.drained()).toBe(4);
    expect(await readUpTo(second, 6)).toEqual([5, 6]);
    expect((await ownerConsumers(link, `${space}-0`)).map((one) => one.epoch)).toEqual([2]);
    await second.close();
  });

  it('acknowledges nothing once somebody else has taken the bucket, however late it wakes', async () => {
    for (const person of upTo(6)) await log.append(aBatch([person]));
    const frozen = await own({ epoch: 1 });
    await readUpTo(frozen, 6);
    const next = await own({ epoch: 2 });
    await expect(frozen.acknowledge(6)).rejects.toThrow(OwnershipLost);
    await expect(frozen.read(6, 10)).rejects.toThrow(OwnershipLost);
    await expect(frozen.acknowledge(2)).rejects.toThrow(OwnershipLost);
    expect(frozen.lost()).toBe(true);
    expect(await floor()).toBe(0);
    expect(await readUpTo(next, 6)).toEqual(upTo(6));
    await frozen.close();
    await next.close();
  });

  it('does not begin under an older epoch, nor when the bucket went to somebody else meanwhile', async () => {
    await log.append(aBatch([1]));
    const owner = await own({ epoch: 7 });
    await expect(own({ epoch: 6 })).rejects.toMatchObject({ newestEpoch: 7 });
    await expect(own({ epoch: 8, confirm: async () => false })).rejects.toThrow(OwnershipLost);
    expect(await readUpTo(owner, 1)).toEqual([1]);
    await owner.acknowledge(1);
    expect(owner.lost()).toBe(false);
    expect(await floor()).toBe(1);
    await owner.close();
  });

  it('gathers the fences that stand before its start, and meets the others as it reads', async () => {
    for (const at of upTo(1_200)) {
      if (at % 3 === 0) await log.appendFence(slice(at));
      else await log.append(aBatch([at]));
    }
    const first = await own({ epoch: 1, ackPendingMax: 2_000 });
    expect(first.fences.size).toBe(0);
    await first.beyond(600, never);
    await first.acknowledge(600);
    await first.close();
    const second = await own({ epoch: 2 });
    expect([...second.fences.keys()].map(Number)).toEqual(upTo(200).map((at) => at * 3));
    expect(second.fences.get(3n as SliceId)).toEqual({ epoch: 1, sequence: 3 });
    await second.beyond(602, never);
    const [, , fence] = await second.read(600, 3);
    expect(fence).toMatchObject({ kind: 'fence', sliceId: 603n, sequence: 603 });
    await second.close();
  });

  it('gives each record once and in order, though everything is delivered again and again', async () => {
    const reader = await own({ epoch: 1, ackWaitMs: 40 });
    const seen: number[] = [];
    const redelivered = async () => (await link.jsm.consumers.info(`${space}-0`, 'credit-1')).num_redelivered;
    for (const person of upTo(30)) await log.append(aBatch([person]));
    await until(async () => (await redelivered()) > 0, 'a redelivery');
    for (let after = 0; after < 30; ) {
      await reader.beyond(after, never);
      const records = await reader.read(after, 7);
      seen.push(...peopleOf(records));
      after = records.at(-1)!.sequence;
      await reader.acknowledge(after);
    }
    expect(seen).toEqual(upTo(30));
    await until(async () => (await floor()) === 30, 'all is acknowledged');
    await reader.close();
  });

  it('reads what was lost on its way from the stream itself', async () => {
    const reader = await own({ epoch: 1, ackWaitMs: 200 });
    // Somebody else's requests swallow some of the deliveries, as a connection does that breaks.
    const thief = await (await nats.link()).js.consumers.get(`${space}-0`, 'credit-1');
    const stealing = await thief.consume({ max_messages: 10 });
    let stolen = 0;
    const thieving = (async () => {
      for await (const _ of stealing) stolen += 1;
    })();
    for (const person of upTo(40)) await log.append(aBatch([person]));
    await until(() => stolen > 0, 'something is lost');
    const seen: number[] = [];
    while (seen.length < 40) {
      await reader.beyond(reader.drained(), never);
      const records = await reader.read(reader.drained(), 7);
      seen.push(...peopleOf(records));
      await reader.acknowledge(records.at(-1)!.sequence);
    }
    expect(seen).toEqual(upTo(40));
    await stealing.close();
    await thieving;
    await until(async () => (await floor()) === 40, 'what comes late is acknowledged too');
    await reader.close();
  });

  it('reads a stream again from its start when it ends before what was credited from it', async () => {
    for (const person of upTo(5)) await log.append(aBatch([person]));
    const first = await own({ epoch: 1 });
    await readUpTo(first, 5);
    await first.acknowledge(5);
    await first.close();
    // What a power cut does to servers that do not fsync: the stream is there again, but shorter.
    await link.jsm.consumers.add(`${space}-0`, {
      durable_name: 'credit-2',
      opt_start_seq: 900,
      deliver_policy: 'by_start_sequence',
    });
    const second = await own({ epoch: 3 });
    expect(second.drained()).toBe(0);
    expect(await readUpTo(second, 5)).toEqual(upTo(5));
    await second.close();
  });

  it('tells those who wait until a record is credited, wherever they are', async () => {
    const waiting = log.untilDrained(3, never);
    const given = new AbortController();
    const givenUp = log.untilDrained(99, given.signal);
    for (const person of upTo(3)) await log.append(aBatch([person]));
    const reader = await own({ epoch: 1 });
    await readUpTo(reader, 3);
    await reader.acknowledge(2);
    await reader.acknowledge(3);
    await waiting;
    await log.untilDrained(2, never);
    given.abort();
    await expect(givenUp).rejects.toMatchObject({ kind: 'draining' });
    await reader.close();
  });

  it('says how far it has come to whoever asks, also while its consumer’s servers can’t', async () => {
    const silent = { ...link.jsm.consumers, info: () => Promise.reject(new Error('it has no leader')) };
    const deaf = { ...link, jsm: { ...link.jsm, consumers: silent } } as unknown as NatsLink;
    const far = createJetStreamLog({ link: deaf, space, bucket: 0, bootId: 'far', replicas: 1 });
    await log.append(aBatch([1]));
    const reader = await own({ epoch: 1 });
    await readUpTo(reader, 1);
    await reader.acknowledge(1);
    await far.untilDrained(1, never);
    await reader.close();
    await log.append(aBatch([2]));
    await expect(far.untilDrained(2, AbortSignal.timeout(100))).rejects.toMatchObject({ kind: 'draining' });
  });

  it('stops at a message that is no record, and does not skip it', async () => {
    await log.append(aBatch([1]));
    await link.js.publish(`${space}.log.0.grants`, 'not a record');
    await log.append(aBatch([2]));
    const reader = await own({ epoch: 1 });
    expect(await readUpTo(reader, 1)).toEqual([1]);
    await reader.beyond(1, never);
    await expect(reader.read(1, 10)).rejects.toThrow('no record of grants');
    await reader.close();
  });
});
