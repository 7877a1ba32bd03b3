import { counted, onACluster, type Round, UNLOGGED, until } from './stage.ts';

/** Who leads the stream of a bucket that nobody has planned. */
async function aLeader({ cluster, random }: Round) {
  const { nats } = cluster.servers;
  const stream = `hongbao-${Math.floor(8 * random())}`;
  const leader = (await nats.streamLeader(stream)) ?? (await nats.metaLeader());
  if (!leader) throw new Error(`nobody leads ${stream}`);
  return leader;
}

onACluster('the log’s servers die', ({ fault }) => {
  fault('the leader of a stream is killed: another one leads, and nobody loses anything', async (round) => {
    const leader = await aLeader(round);
    await leader.kill();
    await round.untilMoreWon(20);
    await leader.restart();
    await round.cluster.servers.nats.untilLed();
  });

  fault('the leader of a stream is frozen, and wakes up when another one leads', async (round) => {
    const leader = await aLeader(round);
    leader.freeze();
    await round.untilMoreWon(30);
    leader.thaw();
  });

  fault(
    'two of three are killed: orders go straight into the ledger, and into the log when it is back',
    async (round) => {
      const { cluster } = round;
      const { nats } = cluster.servers;
      const before = await counted(cluster.of('gateway'), UNLOGGED);
      const survivor = round.oneOf(nats.nodes);
      const victims = nats.nodes.filter((node) => node !== survivor);
      await Promise.all(victims.map((node) => node.kill()));
      await until(
        async () => (await counted(cluster.of('gateway'), UNLOGGED)) > before + 10,
        () => 'gateways credit by themselves',
      );
      await round.untilMoreWon(20);
      await Promise.all(victims.map((node) => node.restart()));
      await nats.untilLed();
    },
  );

  fault('all are killed at once, and come back', async (round) => {
    const { nats } = round.cluster.servers;
    await Promise.all(nats.nodes.map((node) => node.kill()));
    await round.untilMoreWon(20);
    await Promise.all(nats.nodes.map((node) => node.restart()));
    await nats.untilLed();
  });
});
