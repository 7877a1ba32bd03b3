/**
 * Real servers for tests, benches and the cluster on one machine: Redis Cluster, NATS JetStream, Postgres. As a command:
 *
 *   node tools/run.mjs tools/services.ts ensure   installs what is missing where it may, says what to install elsewhere
 *   node tools/run.mjs tools/services.ts up       starts one of each, prints the URLs, stops them at Ctrl-C
 */
import path from 'node:path';
import { main } from './services/command.ts';

export { type Service, whyMissing } from './services/binaries.ts';
export {
  type NatsCluster,
  type NatsClusterOptions,
  type NatsNode,
  startNatsCluster,
} from './services/nats.ts';
export { freePort } from './services/ports.ts';
export { type PostgresServer, startPostgres } from './services/postgres.ts';
export {
  type RedisCluster,
  type RedisClusterOptions,
  type RedisNode,
  startRedisCluster,
} from './services/redis.ts';
export type { ServerNode } from './services/server.ts';

// Bundled into another tool this file is a module; by its own name it is the command.
if (path.basename(process.argv[1] ?? '', '.mjs') === 'services')
  process.exitCode = await main(process.argv.slice(2));
