import { setTimeout as delay } from 'node:timers/promises';
import type { ServerNode } from '../../tools/services.ts';
import { everybodyOf, onACluster, type Round, until } from './stage.ts';

const HURTS_MIN = 3;
const HURTS_MAX = 8;

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

/** Whoever gets no answer goes to the other gateway, also while the book can't tell it what the first one has answered. */
const PEOPLE = { peopleMoveOn: true, mayReseal: true };

onACluster('several things fail at the same time', ({ fault }) => {
  const storm = async (round: Round) => {
    const hurts = HURTS_MIN + Math.floor(round.random() * (HURTS_MAX - HURTS_MIN + 1));
    // Half of the time there is a backlog, so that much of what was promised is in the log and the book alone.
    await round.cluster.command('credit-rate', round.oneOf(['20', 'off']));
    const left = [...everybodyOf(round.cluster)];
    const victims = Array.from(
      { length: hurts },
      () => left.splice(Math.floor(left.length * round.random()), 1)[0]!,
    );
    const told = await Promise.all(victims.map((victim) => hurt(victim, round)));
    process.stderr.write(`${told.join(', ')}\n`);
    await until(
      async () => (await round.cluster.command('credit-rate', 'off')) !== '',
      () => 'control answers again',
    );
    const { redis, nats } = round.cluster.servers;
    await Promise.all([redis.untilWhole(), nats.untilLed()]);
    await Promise.all(round.cluster.processes.map((one) => one.untilReady()));
  };
  fault('whatever dies or freezes together, nothing is lost, doubled or wasted', storm, PEOPLE);
});
