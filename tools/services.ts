/** Real servers for tests, benches and the cluster on one machine. Used as a module, and as a command (below). */
export { type Service, whyMissing } from './services/binaries.ts';
export { type NatsCluster, type NatsNode, startNatsCluster } from './services/nats.ts';
export { freePort } from './services/ports.ts';
export { type PostgresServer, startPostgres } from './services/postgres.ts';
export { type RedisCluster, type RedisNode, startRedisCluster } from './services/redis.ts';
export type { ServerNode } from './services/server.ts';
