import { onACluster } from './stage.ts';

onACluster('the total on the screen is what was credited, once all is at rest', ({ fault }) => {
  fault('a gateway is killed and starts again', async (round) => {
    const victim = round.oneOf(round.cluster.of('gateway'));
    await victim.kill();
    await round.untilMoreWon(30);
    await victim.restart();
  });

  fault('every process of the engine is killed at one moment', async ({ cluster }) => {
    await Promise.all(cluster.processes.map((one) => one.kill()));
    await Promise.all(cluster.processes.map((one) => one.restart()));
  });
});
