import { startTcpProxy, type TcpProxy } from '../../rehearsal/faults/tcp-proxy.ts';
import {
  freePort,
  type NatsCluster,
  type NatsClusterOptions,
  type PostgresServer,
  type RedisCluster,
  type RedisClusterOptions,
  startNatsCluster,
  startPostgres,
  startRedisCluster,
} from '../../tools/services.ts';

/** What lies between a node and everybody else: its clients, and the other nodes. */
export interface NodeNetwork {
  /** For Redis, replicas fetch from their primary through here too. */
  readonly clients: TcpProxy;
  /** What other nodes say to this one; what this one says to them lies in their networks. */
  readonly peers: TcpProxy;
}

async function between(ports: { port: number; peerPort: number }): Promise<NodeNetwork> {
  const open = async (port: number) => startTcpProxy({ port: await freePort(), target: { port } });
  return { clients: await open(ports.port), peers: await open(ports.peerPort) };
}

const closeAll = (networks: readonly NodeNetwork[]) =>
  Promise.all(networks.flatMap(({ clients, peers }) => [clients.close(), peers.close()]));

/** A Redis Cluster whose every connection can be made bad, node by node (`networks[i]` is of `nodes[i]`). */
export async function startProxiedRedisCluster(
  options: RedisClusterOptions = {},
): Promise<RedisCluster & { readonly networks: readonly NodeNetwork[] }> {
  const networks: NodeNetwork[] = [];
  const cluster = await startRedisCluster({
    ...options,
    async announce({ port, busPort }, index) {
      const network = await between({ port, peerPort: busPort });
      networks[index] = network;
      return { port: network.clients.port, busPort: network.peers.port };
    },
  });
  return {
    ...cluster,
    networks,
    async stop() {
      await cluster.stop();
      await closeAll(networks);
    },
  };
}

/** A JetStream cluster whose every connection can be made bad, server by server. */
export async function startProxiedNatsCluster(
  options: NatsClusterOptions = {},
): Promise<NatsCluster & { readonly networks: readonly NodeNetwork[] }> {
  const networks: NodeNetwork[] = [];
  const cluster = await startNatsCluster({
    ...options,
    async announce({ port, routePort }, index) {
      const network = await between({ port, peerPort: routePort });
      networks[index] = network;
      return { port: network.clients.port, routePort: network.peers.port };
    },
  });
  return {
    ...cluster,
    networks,
    async stop() {
      await cluster.stop();
      await closeAll(networks);
    },
  };
}

/** A Postgres whose connections can be made bad: `url` and the URLs of its databases lead through the proxy. */
export async function startProxiedPostgres(
  ...options: Parameters<typeof startPostgres>
): Promise<{
  readonly server: PostgresServer;
  readonly proxy: TcpProxy;
  through(url: string): string;
  stop(): Promise<void>;
}> {
  const server = await startPostgres(...options);
  const proxy = await startTcpProxy({ port: await freePort(), target: { port: server.port } });
  return {
    server,
    proxy,
    through: (url) => Object.assign(new URL(url), { port: String(proxy.port) }).href,
    async stop() {
      await server.discard();
      await proxy.close();
    },
  };
}
