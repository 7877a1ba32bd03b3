import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Cluster } from '../../tools/cluster/index.ts';
import type { NatsNode } from '../../tools/services/nats.ts';
import { rowsOf } from './looks.ts';
import { onACluster, until } from './stage.ts';

/** What a server needs to start, and what is kept of its words; everything else is its storage. */
const KEPT = new Set(['nats.conf', 'server.log']);

async function dieAndLoseAll(nodes: readonly NatsNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
  for (const { folder } of nodes)
    for (const name of readdirSync(folder))
      if (!KEPT.has(name)) rmSync(path.join(folder, name), { recursive: true });
}

async function comeBack({ servers: { nats } }: Cluster): Promise<void> {
  await Promise.all(nats.nodes.map((node) => node.restart()));
  await nats.untilLed();
}

/** Slices that are fenced and wait for their backlog. */
async function slicesThatWait({ servers }: Cluster): Promise<number> {
  const sql =
    "SELECT count(*)::int AS n FROM allotment.slice WHERE state = 'fenced' AND fenced_at IS NOT NULL";
  return (await rowsOf<{ n: number }>(servers.control, sql))[0]!.n;
}

/** The servers know every bucket's stream again. */
const untilMadeAnew = ({ servers: { nats } }: Cluster): Promise<void> =>
  until(
    async () => {
      const streams = Array.from({ length: 8 }, (_, bucket) => `hongbao-${bucket}`);
      return !(await Promise.all(streams.map(nats.streamLeader))).includes(undefined);
    },
    () => 'the streams are made anew',
  );

onACluster('the log’s servers lose everything', ({ fault }) => {
  fault('all are killed and come back with empty disks: nobody has to press anything', async (round) => {
    const { cluster } = round;
    await dieAndLoseAll(cluster.servers.nats.nodes);
    await round.untilMoreWon(20);
    await comeBack(cluster);
    await untilMadeAnew(cluster);
    await round.untilMoreWon(50);
  });

  // What only the journal of the gateway has that is away, the book's keeper promises anew: sealed twice from here on.
  fault(
    'nothing of a backlog is lost, whose slices wait behind lost fences, nor what a gateway has that is away',
    async (round) => {
      const { cluster } = round;
      await cluster.command('credit-rate', '0');
      await until(
        async () => (await slicesThatWait(cluster)) > 1,
        () => 'slices are fenced, and wait',
      );
      const away = round.oneOf(cluster.of('gateway'));
      await away.kill();
      await dieAndLoseAll(cluster.servers.nats.nodes);
      await round.untilMoreWon(10);
      await comeBack(cluster);
      await untilMadeAnew(cluster);
      await round.untilMoreWon(30);
      await away.restart();
      await cluster.command('credit-rate', 'off');
    },
    { thinkMs: 300, mayReseal: true },
  );

  fault('every process dies with them, and all begin again', async (round) => {
    const { cluster } = round;
    const { nodes } = cluster.servers.nats;
    await Promise.all([...cluster.processes.map((one) => one.kill()), dieAndLoseAll(nodes)]);
    await Promise.all([comeBack(cluster), ...cluster.processes.map((one) => one.restart())]);
    await Promise.all(cluster.processes.map((one) => one.untilReady()));
  });
});
