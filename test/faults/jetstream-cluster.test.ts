import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import { decodeRecord, encodeGrants } from '../../src/engines/embedded/journal/record-codec.ts';
import { mayPass } from '../../src/engines/jetstream/faults.ts';
import { createJetStreamLog, type JetStreamLog } from '../../src/engines/jetstream/grant-log.ts';
import { openJournaledLog } from '../../src/engines/jetstream/journaled-log.ts';
import { openOwnedLog } from '../../src/engines/jetstream/owned-log.ts';
import { createOwnership } from '../../src/engines/jetstream/ownership.ts';
import { ensureStreams } from '../../src/engines/jetstream/streams.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { aBatch, peopleOf, upTo } from '../support/batches.ts';
import { natsUnderTest, startTestNats, type TestNats, type TestNatsServer } from '../support/nats.ts';
import { placesThatDiffer, storedMessages } from '../support/nats-store.ts';
import { quiet } from '../support/quiet.ts';
import { until } from '../support/rig.ts';

const SPACE = 'cluster';
const PATIENCE_MS = 60_000;
const STREAM = `${SPACE}-0`;
const { says, isFit: keepsNames } = natsUnderTest();
let nats: TestNats;
let log: JetStreamLog;
/** Another process, which knows of appends only what it asks the servers. */
let onlooker: JetStreamLog;

beforeAll(async () => {
  nats = await startTestNats(3);
  const link = await nats.link();
  await patiently(() => ensureStreams(link, { space: SPACE, buckets: 1, replicas: 3, bytesMax: 1 << 28 }));
  log = createJetStreamLog({ link, space: SPACE, bucket: 0, bootId: 'boot', replicas: 3 });
  const second = await nats.link('onlooker');
  onlooker = createJetStreamLog({ link: second, space: SPACE, bucket: 0, bootId: 'onlooker', replicas: 3 });
}, 90_000);
afterAll(async () => {
  await onlooker.close();
  await log.close();
  await nats.stop();
});

/** Servers that were killed have no leader for a while, and refuse what they are asked: as the engine, asks again. */
async function patiently<Result>(act: () => Promise<Result>): Promise<Result> {
  for (const lastMs = performance.now() + PATIENCE_MS; ; ) {
    try {
      return await act();
    } catch (error) {
      if (!mayPass(error) || performance.now() > lastMs) throw error;
      await delay(50);
    }
  }
}

let person = 0;
/** What was answered, by its place in the log. */
const answered = new Map<number, number>();
const unknown = new Set<number>();

/** Ends that the onlooker was told, and those of them that leave out what was answered before it asked. */
let endsTold = 0;
const falseEnds: { readonly end: number; readonly answered: number }[] = [];

async function lookForEnd(sequence: number): Promise<void> {
  try {
    const end = await onlooker.endNow();
    endsTold += 1;
    if (end < sequence) falseEnds.push({ end, answered: sequence });
  } catch (error) {
    if (!(error instanceof RetryableFault)) throw error;
  }
}

const untilEndIsUnknown = () =>
  until(
    () =>
      onlooker.endNow().then(
        () => false,
        (error) => (error as RetryableFault).kind === 'log-unavailable',
      ),
    'the leader does not hear its followers',
    30_000,
  );

async function appendOne(): Promise<'answered' | 'unavailable' | 'unknown'> {
  person += 1;
  const mine = person;
  try {
    const sequence = await log.append(aBatch([mine]));
    answered.set(sequence, mine);
    void lookForEnd(sequence);
    return 'answered';
  } catch (error) {
    if (!(error instanceof RetryableFault)) throw error;
    if (error.kind === 'outcome-unknown') unknown.add(mine);
    return error.kind === 'outcome-unknown' ? 'unknown' : 'unavailable';
  }
}

/** Appends, some at a time, until `holds`. */
async function appendUntil(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await Promise.all(upTo(8).map(appendOne));
    // A refusal comes at once, and a loop of nothing but refusals would keep the connection from ever coming back.
    await delay(1);
  }
}

const appendWell = async (count: number) => {
  const goal = answered.size + count;
  await appendUntil(() => answered.size >= goal);
};

async function leader(): Promise<TestNatsServer> {
  const link = await nats.link();
  let found: TestNatsServer | undefined;
  await until(
    async () => {
      const info = await link.jsm.streams.info(STREAM).catch(() => undefined);
      found = nats.servers.find((one) => one.name === info?.cluster?.leader);
      return found !== undefined;
    },
    'the stream has a leader',
    30_000,
  );
  await link.close();
  return found!;
}

/** Each answered batch stands where its answer said, once; nothing else but what was left unknown is there. */
async function expectTruth(): Promise<void> {
  const people = await peopleInStream();
  expect(new Set(people).size).toBe(people.length);
  for (const [sequence, one] of answered) expect(people[sequence - 1]).toBe(one);
  const told = new Set(answered.values());
  expect(people.filter((one) => !told.has(one) && !unknown.has(one))).toEqual([]);
  // Replicas of nats-server 2.9 differ now and then: an end may be another one's.
  if (keepsNames) expect(falseEnds).toEqual([]);
  expect(endsTold).toBeGreaterThan(0);
}

async function peopleInStream(): Promise<number[]> {
  const link = await nats.link();
  const { state } = await patiently(() => link.jsm.streams.info(STREAM));
  const people: number[] = [];
  for (const sequence of upTo(state.last_seq))
    people.push(...peopleOf([await patiently(() => log.at(sequence))]));
  await link.close();
  return people;
}

/**
 * Weaker than the truth above, and all that nats-server 2.9 keeps of it when a leader freezes and wakes: now and then
 * replicas differ from then on, so a place may hold another record on each (docs/decisions/0007).
 */
async function expectNothingMissing(): Promise<void> {
  const link = await nats.link();
  const { state } = await patiently(() => link.jsm.streams.info(STREAM));
  const people = new Set<number>();
  for (const seq of upTo(state.last_seq)) {
    const found = await patiently(() =>
      Promise.all(upTo(12).map(() => link.jsm.direct.getMessage(STREAM, { seq }))),
    );
    for (const one of found) {
      const record = one && decodeRecord(seq, Buffer.from(one.data));
      if (record) for (const person of peopleOf([record])) people.add(person);
    }
  }
  expect([...answered.values()].filter((one) => !people.has(one))).toEqual([]);
  await link.close();
}

describe(`three NATS servers (${says})`, { timeout: 120_000 }, () => {
  it('lose nothing that was answered when the leader is killed, and go on by themselves', async () => {
    await appendWell(50);
    const killed = await leader();
    const killing = killed.kill();
    await appendWell(100);
    await killing;
    await killed.start();
    await appendWell(20);
    await expectTruth();
  });

  it('answer nothing falsely without a quorum, say so, and go on by themselves when it is back', async () => {
    await appendWell(10);
    const first = await leader();
    const others = nats.servers.filter((one) => one !== first);
    await Promise.all(others.map((one) => one.kill()));
    const before = answered.size;
    const outcomes = await Promise.all(upTo(5).map(appendOne));
    expect(outcomes).not.toContain('answered');
    expect(log.health().accepting).toBe(false);
    for (let tries = 0; tries < 3; tries += 1) expect(await appendOne()).not.toBe('answered');
    await untilEndIsUnknown();
    expect(log.health()).toMatchObject({ accepting: false });
    expect(answered.size).toBe(before);
    await Promise.all(others.map((one) => one.start()));
    await until(() => log.health().accepting, 'the stream takes appends again', 30_000);
    await appendWell(20);
    await expectTruth();
  });

  it('are read in strict order, each record once, while their leaders are killed', async () => {
    const link = await nats.link('creditor');
    const seen: number[] = [];
    const owner = await patiently(() =>
      openOwnedLog({
        link,
        space: SPACE,
        bucket: 0,
        epoch: 1,
        confirm: async () => true,
        onLost: () => {},
      }),
    );
    const ending = new AbortController();
    const reading = (async () => {
      while (!ending.signal.aborted) {
        await owner.beyond(owner.drained(), ending.signal);
        try {
          const records = await owner.read(owner.drained(), 50);
          const last = records.at(-1)?.sequence ?? owner.drained();
          await owner.acknowledge(last);
          seen.push(...records.map((one) => one.sequence));
        } catch (error) {
          if (!(error instanceof RetryableFault)) throw error;
        }
      }
    })();
    const reached = () => until(() => owner.drained() >= Math.max(...answered.keys()), 'all is read', 30_000);
    await appendWell(30);
    await reached();
    const killed = await leader();
    await killed.kill();
    await appendWell(30);
    await reached();
    await killed.start();
    await appendWell(30);
    await reached();
    await log.untilDrained(Math.max(...answered.keys()), AbortSignal.timeout(20_000));
    ending.abort();
    await reading;
    expect(seen).toEqual(upTo(seen.length));
    await owner.close();
  });

  it('keep a bucket with one owner through the death of a server and of the owner', async () => {
    const owners: string[] = [];
    const join = async (memberId: string) => {
      const link = await nats.link(memberId);
      const keeper = await patiently(() =>
        createOwnership({
          link,
          space: SPACE,
          buckets: 1,
          replicas: 3,
          memberId,
          ttlMs: 4_000,
          onFatal: (error) => owners.push(String(error)),
          open: async ({ bucket, epoch, confirm, onLost }) => {
            // The test before has made a consumer of epoch 1 without asking anybody: the next owner has to go above it.
            const reader = await openOwnedLog({ link, space: SPACE, bucket, epoch, confirm, onLost });
            owners.push(`${memberId} ${epoch}`);
            return { close: () => reader.close() };
          },
        }),
      );
      await keeper.start();
      return { keeper, link };
    };
    const one = await join('one');
    await until(() => one.keeper.owned().size === 1, 'one owns it', 30_000);
    const two = await join('two');
    await (await leader()).kill();
    await appendWell(10);
    await one.link.close();
    await until(() => two.keeper.owned().size === 1, 'two owns it', 40_000);
    await Promise.all(nats.servers.map((server) => server.kill()));
    await Promise.all(nats.servers.map((server) => server.start()));
    await until(() => two.keeper.owned().size === 1, 'two owns it, all servers having been away', 40_000);
    await two.keeper.stop();
    await one.keeper.stop();
    expect(new Set(owners).size).toBe(owners.length);
    await appendWell(10);
    await expectTruth();
  });

  it('go on by themselves when the leader freezes and wakes, with everything that was answered', async () => {
    const frozen = await leader();
    await frozen.freeze();
    await appendWell(50);
    frozen.wake();
    await appendWell(50);
    await (keepsNames ? expectTruth() : expectNothingMissing());
  });

  it('acknowledge nothing falsely while both followers are frozen, and keep one record of a name afterwards', async () => {
    const first = await leader();
    const followers = nats.servers.filter((one) => one !== first);
    await Promise.all(followers.map((one) => one.freeze()));
    const body = encodeGrants(aBatch([1_000_001]));
    const send = () => log.appendNamed(body, 'a name');
    // The leader has it and knows its name, which is no promise yet.
    try {
      await expect(send()).rejects.toMatchObject({ kind: 'outcome-unknown' });
      // Nor does anybody know by it where the stream ends, once it has not heard them for a while.
      await untilEndIsUnknown();
    } finally {
      for (const one of followers) one.wake();
    }
    const places = [await patiently(send), await patiently(send)];
    expect(new Set(places).size).toBe(keepsNames ? 1 : 2);
    const standing = (await peopleInStream()).filter((one) => one === 1_000_001);
    expect(standing.length > 1).toBe(!keepsNames);
    for (const place of places) expect(peopleOf([await patiently(() => log.at(place))])).toEqual([1_000_001]);
  });

  it('take what a journal sends again at its start for what they have: nothing is added, and it stands where it stood', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-replayed-'));
    const link = await nats.link();
    const openAll = async (bootId: string) => {
      const journal = await openJournal({ folder, logger: quiet });
      const stream = createJetStreamLog({ link, space: SPACE, bucket: 0, bootId, replicas: 3 });
      const places: number[] = [];
      const telling: JetStreamLog = {
        ...stream,
        async appendNamed(body, name) {
          const place = await stream.appendNamed(body, name);
          places.push(place);
          return place;
        },
      };
      const journaled = await openJournaledLog({ journal, streams: [telling], logger: quiet });
      return { journal, journaled, places };
    };
    const before = await openAll('before');
    const people = upTo(30).map((one) => 2_000_000 + one);
    for (const one of people) await patiently(() => before.journaled.bucket(0).append(aBatch([one])));
    await before.journaled.close();
    await before.journal.close();
    // The mark says what the streams have; without it everything is owed.
    rmSync(path.join(folder, 'drained'));
    const after = await openAll('after');
    await until(() => after.journaled.owed() === 0, 'nothing is owed', PATIENCE_MS);
    expect(after.places.length).toBe(people.length);
    if (keepsNames) expect([...after.places].sort((a, b) => a - b)).toEqual(before.places);
    await after.journaled.close();
    await after.journal.close();
    const standing = (await peopleInStream()).filter((one) => one > 2_000_000);
    expect(standing).toEqual(keepsNames ? people : [...people, ...people]);
    rmSync(folder, { recursive: true });
  });

  it('have all the same on their disks in the end', async () => {
    const link = await nats.link();
    const isInStep = async () => {
      const { cluster } = await link.jsm.streams.info(STREAM);
      return cluster?.replicas?.every(({ current, lag }) => current && !lag) === true;
    };
    await until(() => isInStep().catch(() => false), 'the replicas are in step', PATIENCE_MS);
    await Promise.all(nats.servers.map((one) => one.kill('SIGTERM')));
    const replicas = nats.servers.map(({ storeFolder }) => storedMessages(storeFolder, STREAM));
    const longest = Math.max(...replicas.map(({ length }) => length));
    expect(longest).toBeGreaterThanOrEqual(answered.size);
    // Before 2.10 now and then they differ from a freeze on; what was answered is on one of them (see above).
    expect(placesThatDiffer(replicas)).toBeLessThanOrEqual(keepsNames ? 0 : longest);
  });
});
