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
    'everything twice, while a gateway and a creditor are killed, and people go to the other gateway',
    async (round) => {
      const { cluster } = round;
      for (const victim of [round.oneOf(cluster.of('gateway')), round.oneOf(cluster.of('creditor'))]) {
        await victim.kill();
        await round.untilMoreWon(10);
        await victim.restart();
      }
    },
    { everythingTwice: true, peopleMoveOn: true },
  );

  fault(
    'everything twice, while a Redis primary is killed',
    async (round) => {
      const { redis } = round.cluster.servers;
      const primary = round.oneOf(await redis.primaries());
      await primary.kill();
      await round.untilMoreWon(20);
      await primary.restart();
      await redis.untilWhole();
    },
    { everythingTwice: true },
  );
});
