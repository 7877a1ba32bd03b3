import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch, peopleOf, upTo } from '../../../test/support/batches.ts';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { until } from '../../../test/support/rig.ts';
import type { NatsLink } from './connection.ts';
import { createJetStreamLog } from './grant-log.ts';
import { openOwnedLog } from './owned-log.ts';
import { createOwnership, type OwnershipKeeper } from './ownership.ts';
import { ensureStreams } from './streams.ts';

const BUCKETS = 4;
let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(async () => {
  await nats.stop();
});

let spaces = 0;
let space: string;
let started: Member[] = [];

interface Member {
  readonly keeper: OwnershipKeeper;
  readonly link: NatsLink;
  /** "open 3.1" and "close 3.1", by bucket and epoch. */
  readonly story: string[];
}

beforeEach(async () => {
  spaces += 1;
  space = `owners-${spaces}`;
  await ensureStreams(await nats.link(), { space, buckets: BUCKETS, replicas: 1, bytesMax: 1 << 26 });
  started = [];
});
afterEach(async () => {
  for (const { keeper, link } of started) if (!link.nc.isClosed()) await keeper.stop();
});

const events: string[] = [];

async function join(memberId: string, ttlMs = 20_000): Promise<Member> {
  const link = await nats.link(memberId);
  const story: string[] = [];
  const keeper = await createOwnership({
    link,
    space,
    buckets: BUCKETS,
    replicas: 1,
    memberId,
    ttlMs,
    onFatal: (error) => {
      throw error;
    },
    open: async ({ bucket, epoch, confirm, onLost }) => {
      const reader = await openOwnedLog({ link, space, bucket, epoch, confirm, onLost });
      story.push(`open ${bucket}.${epoch}`);
      return {
        async close() {
          story.push(`close ${bucket}.${epoch}`);
          await reader.close();
        },
      };
    },
  });
  await keeper.start();
  const member = { keeper, link, story };
  started.push(member);
  return member;
}

const owns = (member: Member) => [...member.keeper.owned().keys()];

describe('creditors that share the buckets', () => {
  it('take all of them, share with a newcomer at once, and get them back at once when it leaves', async () => {
    const first = await join('first');
    await until(() => owns(first).length === BUCKETS, 'the first has all');
    const second = await join('second');
    await until(() => owns(first).length === 2 && owns(second).length === 2, 'both have half');
    expect([...owns(first), ...owns(second)].sort()).toEqual([0, 1, 2, 3]);
    await second.keeper.stop();
    await until(() => owns(first).length === BUCKETS, 'the first has all again');
    expect(second.story.filter((one) => one.startsWith('close')).length).toBe(2);
    await until(() => first.keeper.members() === 1, 'it knows to be alone');
  });

  it('take over from one that died without a word, and not before its lease has run out', async () => {
    const dying = await join('dying', 1_000);
    await until(() => owns(dying).length === BUCKETS, 'it has all');
    await dying.link.close();
    const startedMs = performance.now();
    const heir = await join('heir', 1_000);
    await until(() => owns(heir).length === BUCKETS, 'the heir has all');
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect([...heir.keeper.owned().values()].map((one) => one.epoch)).toEqual([2, 2, 2, 2]);
    // The dead one has put everything down by itself meanwhile, with nobody to tell it.
    await until(() => owns(dying).length === 0, 'its lease has run out for itself too');
    await dying.keeper.stop();
  });

  it('try a bucket again that could not be opened', async () => {
    const link = await nats.link();
    let failures = 0;
    const keeper = await createOwnership({
      link,
      space,
      buckets: BUCKETS,
      replicas: 1,
      memberId: 'clumsy',
      ttlMs: 400,
      onFatal: (error) => events.push(String(error)),
      open: async ({ bucket, epoch, confirm, onLost }) => {
        if (bucket === 2 && failures < 2) {
          failures += 1;
          await link.jsm.streams.info('not-there');
        }
        const reader = await openOwnedLog({ link, space, bucket, epoch, confirm, onLost });
        return { close: () => reader.close() };
      },
    });
    await keeper.start();
    await until(() => keeper.owned().size === BUCKETS, 'all are open');
    expect([failures, keeper.owned().get(2)?.epoch]).toEqual([2, 3]);
    expect(events).toEqual([]);
    await keeper.stop();
  });

  it('lose nothing and keep the order of a bucket through joining, leaving and dying', async () => {
    const link = await nats.link();
    const log = createJetStreamLog({ link, space, bucket: 1, bootId: 'boot', replicas: 1 });
    const credited: number[] = [];
    const members: Member[] = [];
    const joinAndCredit = async (memberId: string) => {
      const own = await nats.link(memberId);
      const keeper = await createOwnership({
        link: own,
        space,
        buckets: BUCKETS,
        replicas: 1,
        memberId,
        ttlMs: 800,
        onFatal: (error) => events.push(String(error)),
        open: async ({ bucket, epoch, confirm, onLost }) => {
          const reader = await openOwnedLog({ link: own, space, bucket, epoch, confirm, onLost });
          const ending = new AbortController();
          const crediting = (async () => {
            while (!ending.signal.aborted) {
              await reader.beyond(reader.drained(), ending.signal);
              const records = await reader.read(reader.drained(), 5);
              if (records.length === 0) continue;
              if (ending.signal.aborted) return;
              credited.push(...peopleOf(records));
              await reader.acknowledge(records.at(-1)!.sequence);
            }
          })().catch(() => {});
          return {
            async close() {
              ending.abort();
              await crediting;
              await reader.close();
            },
          };
        },
      });
      await keeper.start();
      const member = { keeper, link: own, story: [] };
      members.push(member);
      return member;
    };
    const first = await joinAndCredit('one');
    let appended = 0;
    const append = async (count: number) => {
      for (const _ of upTo(count)) {
        appended += 1;
        await log.append(aBatch([appended]));
      }
    };
    await append(50);
    const second = await joinAndCredit('two');
    await append(50);
    await first.link.close();
    await append(50);
    const third = await joinAndCredit('three');
    await append(50);
    await second.keeper.stop();
    await append(50);
    await log.untilDrained(appended, AbortSignal.timeout(20_000));
    // Crediting again is what the ledger's key is for; leaving out or going back further than a hand-over is not.
    expect([...new Set(credited)].sort((a, b) => a - b)).toEqual(upTo(appended));
    const firstTimes = credited.filter((person, at) => credited.indexOf(person) === at);
    expect(firstTimes).toEqual(upTo(appended));
    expect(events).toEqual([]);
    await third.keeper.stop();
    await first.keeper.stop();
  });
});
