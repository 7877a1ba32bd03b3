/** A process that starts servers, tells which, and waits to be killed: for the test that nothing outlives it. */
import path from 'node:path';
import { startNatsCluster, startPostgres, startRedisCluster } from '../../tools/services.ts';

const [redis, nats, postgres] = await Promise.all([
  startRedisCluster({ primaries: 1, replicas: 0 }),
  startNatsCluster({ servers: 1 }),
  startPostgres(),
]);
redis.nodes[0]!.freeze();
postgres.freeze();
const pids = [...redis.nodes, ...nats.nodes, postgres].map(({ pid }) => pid);
process.stdout.write(`${JSON.stringify({ pids, folder: path.dirname(postgres.folder) })}\n`);
setInterval(() => {}, 60_000);
