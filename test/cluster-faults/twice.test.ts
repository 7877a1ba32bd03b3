import { onACluster } from './stage.ts';

onACluster('people whose phones send everything two times', ({ fault }) => {
  fault(
    'everything twice, and everything up: each packet and each withdrawal once',
    async (round) => {
      await round.untilMoreWon(60);
    },
    { everythingTwice: true },
  );

  fault(
    'everything twice, while a gateway, a creditor and a Redis primary are killed one after the other',
    async (round) => {
      const { cluster } = round;
      const [primary] = await cluster.servers.redis.primaries();
      for (const victim of [
        round.oneOf(cluster.of('gateway')),
        round.oneOf(cluster.of('creditor')),
        primary!,
      ]) {
        await victim.kill();
        await round.untilMoreWon(10);
        await victim.restart();
      }
      await cluster.servers.redis.untilWhole();
    },
    { everythingTwice: true, peopleMoveOn: true },
  );
});
