import { once } from 'node:events';
import { ensure, thisMachine } from './ensure.ts';
import { startNatsCluster } from './nats.ts';
import { startPostgres } from './postgres.ts';
import { startRedisCluster } from './redis.ts';

const USAGE = 'usage: node tools/run.mjs tools/services.ts ensure | up';
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The command line; returns the exit code. */
export async function main([verb]: readonly string[]): Promise<number> {
  if (verb === 'ensure') {
    // Tests without their servers are skipped in sight; what can be tested is still worth testing.
    ensure(thisMachine(say));
    return 0;
  }
  if (verb === 'up') return up();
  say(USAGE);
  return 2;
}

async function up(): Promise<number> {
  if (ensure(thisMachine(say)).length > 0) return 1;
  const asked = Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)));
  const [redis, nats, ...postgres] = await Promise.all([
    startRedisCluster(),
    startNatsCluster(),
    startPostgres({ name: 'shard-1' }),
    startPostgres({ name: 'shard-2' }),
    startPostgres({ name: 'control' }),
  ]);
  const [first, second, control] = postgres.map(({ url }) => url);
  say(`HONGBAO_LOG=${nats.url}`);
  say(`HONGBAO_LOG_MONITORING=${nats.nodes.map(({ monitoringUrl }) => monitoringUrl).join(',')}`);
  say(`HONGBAO_BOOK=${redis.url}`);
  say(`HONGBAO_LEDGER="${first} ${second}"`);
  say(`HONGBAO_CONTROL=${control}`);
  say('Ctrl-C stops them and removes their files.');
  // A signal handler alone keeps no process alive.
  const awake = setInterval(() => {}, 60_000);
  await asked;
  clearInterval(awake);
  await Promise.all([redis.stop(), nats.stop(), ...postgres.map((server) => server.discard())]);
  return 0;
}
