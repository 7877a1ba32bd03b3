import { startTcpProxy, type TcpProxy, type Weather } from '../../rehearsal/faults/tcp-proxy.ts';
import {
  freePort,
  type NatsCluster,
  type NatsClusterOptions,
  type NatsNode,
  type PostgresServer,
  type RedisCluster,
  type RedisClusterOptions,
  type RedisNode,
  startNatsCluster,
  startPostgres,
  startRedisCluster,
} from '../../tools/services.ts';

/** The networks of a cluster; each of the methods of `Weather` makes them good or bad. */
export interface Networks<Node> {
  /** Between a node and its clients (for Redis: its replicas too, who fetch from it like clients). */
  clientsOf(node: Node): TcpProxy;
  /** Everything that a node hears or says: clients, peers, both ways. A stall here is a partition. */
  around(node: Node): Weather;
}

const openProxy = async (port: number) => startTcpProxy({ port: await freePort(), target: { port } });

/** The same weather in several places. */
const everywhere = (places: readonly Weather[]): Weather => ({
  delay: (delayMs) => places.forEach((place) => void place.delay(delayMs)),
  cut: () => places.forEach((place) => void place.cut()),
  stall: (direction) => places.forEach((place) => void place.stall(direction)),
  restore: (how) => places.forEach((place) => void place.restore(how)),
});

/** A Redis Cluster whose every connection can be made bad, node by node. */
export async function startProxiedRedisCluster(
  options: RedisClusterOptions = {},
): Promise<RedisCluster & { readonly networks: Networks<RedisNode> }> {
  const proxies: { clients: TcpProxy; peers: TcpProxy }[] = [];
  // Nodes tell nobody who is calling, so each dials from an address of its own.
  const sourceOf = (index: number): string => `127.0.1.${index + 1}`;
  const cluster = await startRedisCluster({
    ...options,
    sourceOf,
    async announce({ port, busPort }, index) {
      const own = { clients: await openProxy(port), peers: await openProxy(busPort) };
      proxies[index] = own;
      return { port: own.clients.port, busPort: own.peers.port };
    },
  });
  const all = proxies.flatMap(({ clients, peers }) => [clients, peers]);
  return {
    ...cluster,
    networks: {
      clientsOf: (node) => proxies[cluster.nodes.indexOf(node)]!.clients,
      around(node) {
        const index = cluster.nodes.indexOf(node);
        const { clients, peers } = proxies[index]!;
        return everywhere([clients, peers, ...all.map((proxy) => proxy.from(sourceOf(index)))]);
      },
    },
    async stop() {
      await cluster.stop();
      await Promise.all(all.map((proxy) => proxy.close()));
    },
  };
}

/** A JetStream cluster whose every connection can be made bad, server by server. */
export async function startProxiedNatsCluster(
  options: NatsClusterOptions = {},
): Promise<NatsCluster & { readonly networks: Networks<NatsNode> }> {
  const clients: TcpProxy[] = [];
  const routes: { readonly from: number; readonly to: number; readonly proxy: TcpProxy }[] = [];
  const cluster = await startNatsCluster({
    ...options,
    async announce(port, index) {
      clients[index] = await openProxy(port);
      return clients[index].port;
    },
    async routeVia(routePort, from, to) {
      const proxy = await openProxy(routePort);
      routes.push({ from, to, proxy });
      return proxy.port;
    },
  });
  return {
    ...cluster,
    networks: {
      clientsOf: (node) => clients[cluster.nodes.indexOf(node)]!,
      around(node) {
        const index = cluster.nodes.indexOf(node);
        const own = routes.filter(({ from, to }) => from === index || to === index);
        return everywhere([clients[index]!, ...own.map(({ proxy }) => proxy)]);
      },
    },
    async stop() {
      await cluster.stop();
      await Promise.all([...clients, ...routes.map(({ proxy }) => proxy)].map((proxy) => proxy.close()));
    },
  };
}

export interface ProxiedPostgres {
  readonly server: PostgresServer;
  readonly proxy: TcpProxy;
  /** The same URL by way of the proxy. */
  through(url: string): string;
  stop(): Promise<void>;
}

/** A Postgres whose connections can be made bad. */
export async function startProxiedPostgres(
  options?: Parameters<typeof startPostgres>[0],
): Promise<ProxiedPostgres> {
  const server = await startPostgres(options);
  const proxy = await openProxy(server.port);
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
