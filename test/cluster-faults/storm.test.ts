import { setTimeout as delay } from 'node:timers/promises';
import type { ServerNode } from '../../tools/services.ts';
import { everybodyOf, onACluster, type Round } from './stage.ts';

const HURTS = 4;

/** Kills or freezes a node for some seconds; resolves when it runs again. */
async function hurt(node: ServerNode, { random, oneOf }: Round): Promise<string> {
  const lastsMs = 500 + 9_000 * random() ** 2;
  const how = oneOf(['kill', 'freeze'] as const);
  await delay(4_000 * random());
  if (how === 'kill') await node.kill();
  else node.freeze();
  await delay(lastsMs);
  if (how === 'kill') await node.restart();
  else node.thaw();
  return `${node.name}: ${how} for ${Math.round(lastsMs)} ms`;
}

onACluster('several things fail at the same time', ({ fault }) => {
  fault(
    'whatever dies or freezes together, nothing is lost, doubled or wasted',
    async (round) => {
      const left = [...everybodyOf(round.cluster)];
      const victims = Array.from(
        { length: HURTS },
        () => left.splice(Math.floor(left.length * round.random()), 1)[0]!,
      );
      const told = await Promise.all(victims.map((victim) => hurt(victim, round)));
      process.stderr.write(`${told.join(', ')}\n`);
      const { redis, nats } = round.cluster.servers;
      await Promise.all([redis.untilWhole(), nats.untilLed()]);
      await Promise.all(round.cluster.processes.map((one) => one.untilReady()));
    },
    { peopleMoveOn: true },
  );
});
