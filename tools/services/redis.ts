import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { requireProgram } from './binaries.ts';
import { freePort } from './ports.ts';
import { freshFolder, type OwnedServerNode, type ServerNode, startServer } from './server.ts';

export interface RedisClusterOptions {
  readonly primaries?: number;
  /** Per primary. */
  readonly replicas?: number;
  /** A primary with fewer replicas attached refuses writes. Default 0, as in operation (docs/decisions/0008-redis.md). */
  readonly minReplicasToWrite?: number;
  readonly nodeTimeoutMs?: number;
  /** Further lines of redis.conf, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Where the world finds a node, when that is not where it listens (a proxy stands between). Clients, replicas and
   * the other nodes all go there.
   */
  readonly announce?: (
    listening: { port: number; busPort: number },
    index: number,
  ) => Promise<AnnouncedPorts>;
  /** The loopback address that a node dials from, so that a proxy can tell who is calling. */
  readonly sourceOf?: (index: number) => string;
  /** A folder of one's own per node (a small file system, say); must exist. */
  readonly folderOf?: (index: number) => string;
}

export interface AnnouncedPorts {
  readonly port: number;
  readonly busPort: number;
}

export interface RedisNode extends ServerNode {
  readonly url: string;
  /** A command straight to this node. Rejects when it does not answer within 2 s. */
  call(command: string, ...args: readonly (string | number)[]): Promise<unknown>;
}

export interface RedisCluster {
  /** redis://host:port,host:port,… */
  readonly url: string;
  readonly urls: readonly string[];
  readonly nodes: readonly RedisNode[];
  /** Who is primary at this moment, by the word of the nodes that answer. */
  primaries(): Promise<readonly RedisNode[]>;
  /** By the word of `witness`, or of the first node that answers. Throws while nobody is. */
  primaryOf(key: string, witness?: RedisNode): Promise<RedisNode>;
  /** Resolves when every node that runs says ok, and every primary has the replicas that can be there. */
  untilWhole(withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

const SLOTS = 16_384;

/** A Redis Cluster on free loopback ports: files in a temporary folder, gone with this process at the latest. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { primaries = 3, replicas = 1 } = options;
  const indexes = Array.from({ length: primaries * (1 + replicas) }, (_, index) => index);
  const started = await Promise.allSettled(indexes.map((index) => startNode(options, index)));
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const discard = async () => void (await Promise.all(nodes.map((node) => node.discard())));
  try {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    await join(nodes, primaries);
    const cluster = clusterOf(nodes, replicas, discard);
    await cluster.untilWhole();
    return cluster;
  } catch (error) {
    await discard();
    throw error;
  }
}

type OwnedRedisNode = RedisNode & OwnedServerNode & { readonly announced: AnnouncedPorts };

async function startNode(options: RedisClusterOptions, index: number): Promise<OwnedRedisNode> {
  const listening = { port: await freePort(), busPort: await freePort() };
  const announced = (await options.announce?.(listening, index)) ?? listening;
  const settings: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(listening.port),
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-port': String(listening.busPort),
    'cluster-announce-ip': '127.0.0.1',
    'cluster-announce-port': String(announced.port),
    'cluster-announce-bus-port': String(announced.busPort),
    'cluster-node-timeout': String(options.nodeTimeoutMs ?? 2_000),
    // The slots of a primary that is gone wait; all others go on.
    'cluster-require-full-coverage': 'no',
    // A replica that missed a little is better than no primary: the book is repaired from the log.
    'cluster-replica-validity-factor': '0',
    'min-replicas-to-write': String(options.minReplicasToWrite ?? 0),
    'min-replicas-max-lag': '10',
    'repl-diskless-sync': 'yes',
    'repl-diskless-sync-delay': '0',
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    ...(options.sourceOf ? { 'bind-source-addr': options.sourceOf(index) } : {}),
    'maxmemory-policy': 'noeviction',
    ...options.settings,
  };
  const folder = options.folderOf?.(index) ?? freshFolder('redis');
  const client = clientOf(listening.port);
  const server = await startServer({
    name: `redis-${index}`,
    command: requireProgram('redis'),
    args: Object.entries({ dir: folder, ...settings }).flatMap(([name, value]) => [`--${name}`, value]),
    port: listening.port,
    otherPorts: [listening.busPort],
    folder,
    stopSignal: 'SIGTERM',
    isReady: async () => (await client('PING')) === 'PONG',
  });
  return Object.assign(Object.create(server) as OwnedServerNode, {
    url: `redis://127.0.0.1:${announced.port}`,
    announced,
    call: client,
  });
}

/** One connection a command: a node that was killed or frozen leaves nothing behind that tries to come back. */
function clientOf(port: number): RedisNode['call'] {
  return async (command, ...args) => {
    const redis = new Redis({
      host: '127.0.0.1',
      port,
      lazyConnect: true,
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      connectTimeout: 2_000,
      commandTimeout: 2_000,
    });
    redis.on('error', () => {});
    try {
      await redis.connect();
      return await redis.call(command, ...args);
    } finally {
      redis.disconnect();
    }
  };
}

/** Slots to the first nodes, everyone introduced to everyone, the rest made replicas. */
async function join(nodes: readonly OwnedRedisNode[], primaries: number): Promise<void> {
  const first = nodes[0]!;
  await Promise.all(
    nodes.map(async (node, index) => {
      await node.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
      if (index >= primaries) return;
      const from = Math.floor((index * SLOTS) / primaries);
      const to = Math.floor(((index + 1) * SLOTS) / primaries) - 1;
      await node.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
    }),
  );
  for (const { announced } of nodes.slice(1))
    await first.call('CLUSTER', 'MEET', '127.0.0.1', announced.port, announced.busPort);
  await Promise.all(
    nodes.map((node) =>
      until(
        async () => (await infoOf(node)).cluster_known_nodes === String(nodes.length),
        'nodes that know all',
      ),
    ),
  );
  await Promise.all(
    nodes.slice(primaries).map(async (node, index) => {
      const id = String(await nodes[index % primaries]!.call('CLUSTER', 'MYID'));
      await until(async () => (await node.call('CLUSTER', 'REPLICATE', id)) === 'OK', `a replica of ${id}`);
    }),
  );
}

interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly node: RedisNode;
}

function clusterOf(
  nodes: readonly OwnedRedisNode[],
  replicas: number,
  discard: () => Promise<void>,
): RedisCluster {
  const nodeAt = (port: unknown) => nodes.find((node) => node.announced.port === Number(port));

  /** Ranges with the announced port of the primary that serves them, by the first node that answers. */
  async function slots(witnesses: readonly RedisNode[]): Promise<SlotRange[]> {
    for (const node of witnesses) {
      if (!node.isRunning) continue;
      const ranges = (await node.call('CLUSTER', 'SLOTS').catch(() => [])) as [
        number,
        number,
        [string, number],
      ][];
      const known = ranges.flatMap(([from, to, [, port]]) => {
        const primary = nodeAt(port);
        return primary ? [{ from, to, node: primary }] : [];
      });
      if (known.length > 0) return known;
    }
    throw new Error('no node of the cluster tells who serves what');
  }

  return {
    url: `redis://${nodes.map((node) => `127.0.0.1:${node.announced.port}`).join(',')}`,
    urls: nodes.map((node) => node.url),
    nodes,
    primaries: async () => [...new Set((await slots(nodes)).map(({ node }) => node))],
    async primaryOf(key, witness) {
      const asked = witness ?? nodes.find((node) => node.isRunning)!;
      const slot = Number(await asked.call('CLUSTER', 'KEYSLOT', key));
      const range = (await slots(witness ? [witness] : nodes)).find(
        ({ from, to }) => slot >= from && slot <= to,
      );
      if (!range) throw new Error(`nobody serves slot ${slot}`);
      return range.node;
    },
    async untilWhole(withinMs = 60_000) {
      const running = nodes.filter((node) => node.isRunning);
      const replicasWanted = running.length - nodes.length / (1 + replicas);
      const holds = async () => {
        const attached = await Promise.all(running.map((node) => replicasAttachedTo(node, replicasWanted)));
        return attached.reduce((sum, count) => sum + count, 0) >= replicasWanted;
      };
      await until(holds, 'every slot served, every replica in step', withinMs);
    },
    stop: discard,
  };
}

/**
 * How many replicas a primary has in step; 0 of a replica. Rejects while the node has not found its place, or has not
 * heard of all the replicas: a client that asked it would not hear of them either.
 */
async function replicasAttachedTo(node: RedisNode, replicasKnown: number): Promise<number> {
  const [state, known, attached] = await Promise.all([
    infoOf(node),
    node.call('CLUSTER', 'NODES').then(String),
    node.call('INFO', 'replication').then((text) => fields(String(text))),
  ]);
  const lines = known.split('\n').filter(Boolean);
  if (state.cluster_state !== 'ok' || state.cluster_slots_ok !== String(SLOTS)) throw new Error('not ok yet');
  if (lines.filter((line) => / (myself,)?slave /.test(line)).length < replicasKnown)
    throw new Error('has not heard of all replicas');
  if (attached.role === 'slave') {
    if (attached.master_link_status !== 'up') throw new Error('its link is down');
    return 0;
  }
  // id, address, flags, primary, ping, pong, epoch, link: a ninth field is a range of slots.
  const self = lines.find((line) => line.includes('myself'))!;
  if (self.split(' ').length < 9) throw new Error('a primary without slots does not know its place yet');
  return Object.entries(attached).filter(
    ([name, value]) => /^slave\d+$/.test(name) && value.includes('state=online'),
  ).length;
}

const infoOf = async (node: RedisNode) => fields(String(await node.call('CLUSTER', 'INFO')));

const fields = (text: string): Record<string, string> =>
  Object.fromEntries(text.split(/\r?\n/).flatMap((line) => (line.includes(':') ? [pair(line)] : [])));

const pair = (line: string): [string, string] => [
  line.slice(0, line.indexOf(':')),
  line.slice(line.indexOf(':') + 1),
];

async function until(holds: () => Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  const lastMs = performance.now() + withinMs;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > lastMs) throw new Error(`it did not come about within ${withinMs} ms: ${what}`);
    await delay(25);
  }
}
