import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { requireProgram } from './binaries.ts';
import { isFitNats } from './nats-program.ts';
import { freePort } from './ports.ts';
import { freshFolder, type OwnedServerNode, type ServerNode, startServer } from './server.ts';

export interface NatsClusterOptions {
  readonly servers?: number;
  /** Where clients find a server, when that is not where it listens (a proxy stands between). */
  readonly announce?: (port: number, index: number) => Promise<number>;
  /** Where one server dials another, when that is not where it listens. */
  readonly routeVia?: (routePort: number, from: number, to: number) => Promise<number>;
  /** A folder of one's own per server (a small file system, say); must exist. */
  readonly folderOf?: (index: number) => string;
  /** Further lines of the configuration file. */
  readonly settings?: string;
}

export interface NatsNode extends ServerNode {
  readonly url: string;
  readonly monitoringUrl: string;
  /** JSON of the monitoring port, as of `/jsz`. Rejects when it does not answer within 2 s. */
  monitor(route: string): Promise<Record<string, unknown>>;
}

export interface NatsCluster {
  /** nats://host:port,host:port,… */
  readonly url: string;
  readonly urls: readonly string[];
  readonly nodes: readonly NatsNode[];
  /** Who leads the cluster's own group; undefined while nobody does. */
  metaLeader(): Promise<NatsNode | undefined>;
  /** Who leads a stream; undefined while nobody does, or nobody knows the stream. */
  streamLeader(stream: string): Promise<NatsNode | undefined>;
  /** Resolves when every server that runs knows one leader, and it hears them. */
  untilLed(withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

const FIRST_START_MS = 20_000;

interface Place {
  readonly name: string;
  readonly port: number;
  readonly routePort: number;
  readonly monitorPort: number;
  readonly announcedPort: number;
}

/** A JetStream cluster on free loopback ports: files in a temporary folder, gone with this process at the latest. */
export async function startNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  const program = requireProgram('nats');
  const places = await Promise.all(
    Array.from({ length: options.servers ?? 3 }, (_, index) => choosePlace(options, index)),
  );
  const started = await Promise.allSettled(
    places.map((place, index) => startNode(program, options, places, place, index)),
  );
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const discard = async () => void (await Promise.all(nodes.map((node) => node.discard())));
  try {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    const cluster = clusterOf(nodes, discard);
    await cluster.untilLed(FIRST_START_MS).catch(() => startAgain(cluster));
    return cluster;
  } catch (error) {
    await discard();
    throw error;
  }
}

/**
 * Servers of 2.10 that start for the first time at the same moment now and then leave one of them out of their group
 * for good. Started again they find one another.
 */
async function startAgain(cluster: NatsCluster): Promise<void> {
  for (const node of cluster.nodes) await node.restart();
  await cluster.untilLed();
}

async function choosePlace(options: NatsClusterOptions, index: number): Promise<Place> {
  const port = await freePort();
  const announcedPort = (await options.announce?.(port, index)) ?? port;
  return {
    name: `nats-${index}`,
    port,
    routePort: await freePort(),
    monitorPort: await freePort(),
    announcedPort,
  };
}

type OwnedNatsNode = NatsNode & OwnedServerNode;

async function startNode(
  program: string,
  options: NatsClusterOptions,
  places: readonly Place[],
  place: Place,
  index: number,
): Promise<OwnedNatsNode> {
  const folder = options.folderOf?.(index) ?? freshFolder('nats');
  const config = path.join(folder, 'nats.conf');
  const routes = await Promise.all(
    places.map(async ({ routePort }, to) => (await options.routeVia?.(routePort, index, to)) ?? routePort),
  );
  const others = routes.filter((_, to) => to !== index);
  writeFileSync(config, configurationOf(place, others, folder, syncSetting(program), options));
  const monitor = monitorOf(place.monitorPort);
  const server = await startServer({
    name: place.name,
    command: program,
    args: ['-c', config],
    port: place.port,
    otherPorts: [place.routePort, place.monitorPort],
    folder,
    stopSignal: 'SIGTERM',
    isReady: () => greets(place.port),
  });
  return Object.assign(Object.create(server) as OwnedServerNode, {
    url: `nats://127.0.0.1:${place.announcedPort}`,
    monitoringUrl: `http://127.0.0.1:${place.monitorPort}`,
    monitor,
  });
}

/** Servers tell one another where to be reached, and would go round the proxies of a bad network. */
const NOWHERE = '127.0.0.1:9';

/**
 * An acknowledgement is an fsync, where the server can be told so. Until 2.9 it can't; our own journal is the second
 * copy.
 */
export const syncSetting = (program: string): string => (isFitNats(program) ? 'sync_interval: always' : '');

function configurationOf(
  place: Place,
  routePorts: readonly number[],
  folder: string,
  sync: string,
  { settings = '', routeVia }: NatsClusterOptions,
): string {
  const routes = routePorts.map((port) => `"nats://127.0.0.1:${port}"`);
  const cluster = `cluster {
  name: hongbao
  listen: "127.0.0.1:${place.routePort}"
  routes: [${routes.join(', ')}]
  ${routeVia ? `advertise: "${NOWHERE}"` : ''}
}`;
  return `server_name: ${place.name}
listen: "127.0.0.1:${place.port}"
client_advertise: "127.0.0.1:${place.announcedPort}"
http: "127.0.0.1:${place.monitorPort}"
jetstream {
  store_dir: "${folder}"
  max_memory_store: 256MB
  # What streams reserve, not what is used: each bucket's stream reserves its limit, full or not.
  max_file_store: 1TB
  ${sync}
}
${routes.length > 0 ? cluster : ''}
${settings}
`;
}

/** The client port opens last, and the server speaks first. */
async function greets(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 });
  for (const end of ['timeout', 'end'])
    socket.on(end, () => socket.destroy(new Error(`${end} before a word`)));
  try {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    return chunk.toString().startsWith('INFO ');
  } finally {
    socket.destroy();
  }
}

function monitorOf(port: number): NatsNode['monitor'] {
  return async (route) => {
    const response = await fetch(`http://127.0.0.1:${port}${route}`, { signal: AbortSignal.timeout(2_000) });
    return (await response.json()) as Record<string, unknown>;
  };
}

function clusterOf(nodes: readonly OwnedNatsNode[], discard: () => Promise<void>): NatsCluster {
  const running = () => nodes.filter((node) => node.isRunning);

  /** The first answer that is not undefined, of the servers that answer. */
  async function ask(of: (node: NatsNode) => Promise<string | undefined>): Promise<NatsNode | undefined> {
    for (const node of running()) {
      const leader = await of(node).catch(() => undefined);
      const found = nodes.find(({ name }) => name === leader);
      if (found) return found;
    }
    return undefined;
  }

  return {
    url: `nats://${nodes.map((node) => new URL(node.url).host).join(',')}`,
    urls: nodes.map((node) => node.url),
    nodes,
    metaLeader: () => ask(metaLeaderBy),
    streamLeader: (stream) => ask((node) => streamLeaderBy(node, stream)),
    async untilLed(withinMs = 60_000) {
      const lastMs = performance.now() + withinMs;
      while (!(await agree(running(), nodes.length))) {
        if (performance.now() > lastMs)
          throw new Error(`no leader of ${nodes.length} NATS within ${withinMs} ms`);
        await delay(25);
      }
    },
    stop: discard,
  };
}

async function metaLeaderBy(node: NatsNode): Promise<string | undefined> {
  const { meta_cluster } = (await node.monitor('/jsz')) as { meta_cluster?: { leader?: string } };
  return meta_cluster?.leader;
}

interface StreamDetail {
  readonly name: string;
  readonly cluster?: { readonly leader?: string };
}

async function streamLeaderBy(node: NatsNode, stream: string): Promise<string | undefined> {
  const { account_details = [] } = (await node.monitor('/jsz?accounts=true&streams=true')) as {
    account_details?: { stream_detail?: StreamDetail[] }[];
  };
  return account_details
    .flatMap(({ stream_detail = [] }) => stream_detail)
    .find(({ name }) => name === stream)?.cluster?.leader;
}

/** All that run name the same leader, it is one of them, and it hears the others; a single server leads itself. */
async function agree(running: readonly NatsNode[], size: number): Promise<boolean> {
  if (size === 1) return true;
  const leaders = await Promise.all(running.map((node) => metaLeaderBy(node).catch(() => undefined)));
  const leader = running.find(({ name }) => leaders.every((one) => one === name));
  return leader !== undefined && (await heardBy(leader).catch(() => 0)) >= running.length - 1;
}

/** How many others the leader of the cluster's own group holds for alive: only on those it places streams. */
async function heardBy(leader: NatsNode): Promise<number> {
  const { meta_cluster } = (await leader.monitor('/jsz')) as {
    meta_cluster?: { replicas?: { offline?: boolean }[] };
  };
  return (meta_cluster?.replicas ?? []).filter(({ offline }) => !offline).length;
}
