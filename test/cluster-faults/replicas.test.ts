import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeGrants } from '../../src/engines/embedded/journal/record-codec.ts';
import { connectNats, type NatsLink } from '../../src/engines/jetstream/connection.ts';
import { createJetStreamLog, type JetStreamLog } from '../../src/engines/jetstream/grant-log.ts';
import { bucketNames } from '../../src/engines/jetstream/names.ts';
import { ensureStreams } from '../../src/engines/jetstream/streams.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { type NatsCluster, type NatsNode, startNatsCluster } from '../../tools/services.ts';
import { aBatch, upTo } from '../support/batches.ts';
import { natsUnderTest } from '../support/nats.ts';
import { hashOf, placesThatDiffer, storedMessages } from '../support/nats-store.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/quiet.ts';
import { testClock, until } from '../support/rig.ts';
import { describeWithServers } from '../support/servers.ts';

/** Decision 7's own experiment: what it tells of a version of nats-server, this tells of the one that is here. */
const ROUNDS = Number(process.env.HONGBAO_ROUNDS ?? 2);
const AT_ONCE = 128;
const PATIENCE_MS = 120_000;
const { says, isFit } = natsUnderTest();

let cluster: NatsCluster;
let link: NatsLink;
let random: () => number;

describeWithServers(['nats'], `three replicas under load (${says})`, () => {
  beforeAll(async () => {
    random = seeded(testSeed('replicas'));
    cluster = await startNatsCluster();
    link = await connectNats({ url: cluster.url, name: 'load', clock: testClock(), logger: quiet, random });
  });
  afterAll(async () => {
    await link?.close();
    await cluster?.stop();
  });

  const freeze = async (leader: NatsNode, load: Load) => {
    leader.freeze();
    await load.more(1 + Math.floor(500 * random()));
    leader.thaw();
  };
  const kill = async (leader: NatsNode, load: Load) => {
    await leader.kill();
    await load.more(500);
    await leader.restart();
  };
  const killTwo = async (leader: NatsNode) => {
    const two = [leader, cluster.nodes.find((node) => node !== leader)!];
    await Promise.all(two.map((node) => node.kill()));
    await delay(3_000 * random());
    await Promise.all(two.map((node) => node.restart()));
  };

  for (const round of upTo(ROUNDS))
    it.each([
      ['freezes, and wakes when another one leads', 'freeze', freeze],
      ['is killed, and comes back', 'kill', kill],
      ['and another one are killed, and come back', 'two', killTwo],
    ])(
      `hold the same when their leader %s (round ${round})`,
      async (_title, name, act) => {
        const space = `${name}${round}`;
        const { stream } = bucketNames(space, 0);
        const settings = { space, buckets: 1, replicas: 3, bytesMax: 1 << 28 };
        await eventually(() => ensureStreams(link, settings), 'the stream is made');
        const load = startLoad(
          createJetStreamLog({ link, space, bucket: 0, bootId: space, replicas: 3 }),
          space,
        );
        await load.more(2_000);
        await act((await cluster.streamLeader(stream)) ?? cluster.nodes[0]!, load);
        await load.more(2_000);
        await load.end();
        // Servers before 2.10 never get into step again once they differ.
        if (isFit) await eventually(() => mustBeInStep(stream), 'the replicas are in step');
        await delay(1_000);
        const replicas = cluster.nodes.map(({ folder }) => storedMessages(folder, stream));
        const places = placesThatDiffer(replicas);
        process.stderr.write(`${says}: ${load.answered.size} answered, ${places} places differ (${name})\n`);
        const onAnyDisk = new Set(replicas.flat().map(({ hash }) => hash));
        expect([...load.answered.keys()].filter((hash) => !onAnyDisk.has(hash))).toEqual([]);
        if (isFit) {
          expect(places).toBe(0);
          const hashes = replicas[0]!.map(({ hash }) => hash);
          expect(new Set(hashes).size).toBe(hashes.length);
          const standing = new Map(replicas[0]!.map(({ hash, sequence }) => [hash, sequence]));
          for (const [hash, place] of load.answered) expect(standing.get(hash)).toBe(place);
        }
        await link.jsm.streams.delete(stream);
      },
      300_000,
    );
});

interface Load {
  /** Where each body was answered to stand, by its hash. */
  readonly answered: ReadonlyMap<string, number>;
  /** Resolves when so many more were answered. */
  more(count: number): Promise<void>;
  /** Resolves when everything that was begun was answered, asked again under its name until then. */
  end(): Promise<void>;
}

function startLoad(log: JetStreamLog, space: string): Load {
  const answered = new Map<string, number>();
  let started = 0;
  let ended = false;

  async function untilAnswered(body: Uint8Array, name: string): Promise<void> {
    for (;;) {
      try {
        answered.set(hashOf(body), await log.appendNamed(body, name));
        return;
      } catch (error) {
        if (!(error instanceof RetryableFault)) throw error;
        await delay(10);
      }
    }
  }

  async function work(): Promise<void> {
    while (!ended) {
      started += 1;
      await untilAnswered(encodeGrants(aBatch([started, started + 1])), `${space}-${started}`);
    }
  }

  const working = Promise.all(upTo(AT_ONCE).map(work));
  return {
    answered,
    async more(count) {
      const goal = answered.size + count;
      await until(() => answered.size >= goal, `${count} more are answered`, PATIENCE_MS);
    },
    async end() {
      ended = true;
      await working;
      await log.close();
    },
  };
}

const onDisks = (stream: string) => cluster.nodes.map(({ folder }) => storedMessages(folder, stream));

/** A server that has just come back says too early that it is: its disk tells. */
async function mustBeInStep(stream: string): Promise<void> {
  await delay(250);
  const { state } = await link.jsm.streams.info(stream);
  const ends = onDisks(stream).map((messages) => messages.at(-1)?.sequence);
  if (!ends.every((end) => end === state.last_seq)) throw new Error('not in step yet');
}

async function eventually(act: () => Promise<void>, what: string): Promise<void> {
  const holds = () =>
    act().then(
      () => true,
      () => false,
    );
  await until(holds, what, PATIENCE_MS);
}
