import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Cluster } from 'ioredis';
import pino from 'pino';
import { connectRedis } from '../src/engines/redis/client.ts';
import { functionName } from '../src/engines/redis/functions/index.ts';
import { createRedisHotTotals, TURN_MS_MAX, TURN_MS_MIN } from '../src/engines/redis/hot-totals.ts';
import { createTotalsServer } from '../src/engines/redis/totals-server.ts';
import { fen } from '../src/vocabulary/fen.ts';
import type { PhaseKey } from '../src/vocabulary/ids.ts';
import { type RedisNode, startRedisCluster } from '../tools/services.ts';
import { processCpuMs } from './server-cpu.ts';

export interface HotTotalsFigures {
  /** Looks at the total a second, one process. */
  readonly localReadsPerSecond: number;
  /** The same answer by one GET each, as many at once as the client likes best. */
  readonly getsPerSecond: number;
  /** The same answer by reading 100 keys each (seed 2022, 4.5.1), all in one slot, one command. */
  readonly splitKeyReadsPerSecond: number;
  readonly localOverGet: number;
  readonly localOverSplitKeys: number;
  /** Commands that 20,000 readers and 8,000 writers ask of the primary, each once a second. */
  readonly askedOnceASecond: number;
  /** The same at our own pace, about twice a second, so that nobody is more than a second behind. */
  readonly askedAtOurPace: number;
  /** Of the backup, at our pace: writers only, while the primary is well. */
  readonly askedOfTheBackup: number;
  /** Of these very commands in this very mix, one at a time on each of many connections. */
  readonly sustainedPerSecond: number;
  /** The same per second of the server's own CPU: the client takes the other core, and others this machine. */
  readonly sustainedPerServerCpuSecond: number;
  readonly redisOverAsked: number;
  readonly redisOverAskedAtOurPace: number;
  /** Of the hash that remembers 8,000 instances. */
  readonly bytesOfAnInstance: number;
}

const READERS = 20_000;
const WRITERS = 8_000;
const PHASE = 1 as PhaseKey;
const SPLIT_KEYS = 100;
const LASTS_MS = 3_000;
const CONNECTIONS = 200;
const UNDER_WAY = 256;
const LOCAL_READS = 2_000_000;

/** One Redis and one client process on the cores of this machine. */
export async function benchHotTotals(): Promise<HotTotalsFigures> {
  const cluster = await startRedisCluster({ primaries: 1, replicas: 0 });
  const node = cluster.nodes[0]!;
  const client = connectRedis({
    url: cluster.url,
    logger: pino({ level: 'silent' }),
    random: Math.random,
    callTimeoutMs: 30_000,
  });
  const bare = new Cluster([cluster.url], { enableAutoPipelining: true, redisOptions: { protocol: 2 } });
  try {
    await client.ready;
    const server = createTotalsServer(client, 'bench');
    const memoryBefore = await usedMemory(node);
    for (let at = 0; at < WRITERS; at += 200) await server.tell(PHASE, sumsOf(at, 200));
    const bytesOfAnInstance = ((await usedMemory(node)) - memoryBefore) / WRITERS;

    const totals = createRedisHotTotals({
      servers: [server],
      instance: 'bench',
      logger: pino({ level: 'silent' }),
      random: Math.random,
    });
    const localReadsPerSecond = await localReads(() => totals.read(PHASE));
    await totals.close();

    const keys = Array.from({ length: SPLIT_KEYS }, (_, at) => `{split}${at}`);
    await Promise.all(keys.map((key) => bare.set(key, '123456789')));
    const getsPerSecond = await rate(() => bare.get(keys[0]!));
    const splitKeyReadsPerSecond = await rate(async () => {
      const values = await bare.mget(...keys);
      return values.reduce((sum, value) => sum + Number(value), 0);
    });

    const { perSecond, perCpuSecond } = await sustained(node);
    const perTurn = 1_000 / ((TURN_MS_MIN + TURN_MS_MAX) / 2);
    const askedOnceASecond = READERS + WRITERS;
    return {
      localReadsPerSecond,
      getsPerSecond,
      splitKeyReadsPerSecond,
      localOverGet: localReadsPerSecond / getsPerSecond,
      localOverSplitKeys: localReadsPerSecond / splitKeyReadsPerSecond,
      askedOnceASecond,
      askedAtOurPace: askedOnceASecond * perTurn,
      askedOfTheBackup: WRITERS * perTurn,
      sustainedPerSecond: perSecond,
      sustainedPerServerCpuSecond: perCpuSecond,
      redisOverAsked: perCpuSecond / askedOnceASecond,
      redisOverAskedAtOurPace: perCpuSecond / (askedOnceASecond * perTurn),
      bytesOfAnInstance,
    };
  } finally {
    bare.disconnect();
    await client.close();
    await cluster.stop();
  }
}

const instanceName = (at: number): string => `instance${String(at).padStart(3, '0')}`;
const sumsOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({
    who: instanceName(first + at),
    sum: { fen: fen(BigInt(1_000_000 + at)), packets: 1_000 + at },
  }));

async function localReads(read: () => Promise<unknown>): Promise<number> {
  await read();
  const started = performance.now();
  for (let at = 0; at < LOCAL_READS; at += 1) await read();
  return (LOCAL_READS / (performance.now() - started)) * 1_000;
}

async function rate(ask: () => Promise<unknown>): Promise<number> {
  const endMs = performance.now() + LASTS_MS;
  let done = 0;
  const asker = async () => {
    for (; performance.now() < endMs; done += 1) await ask();
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, asker));
  return (done / LASTS_MS) * 1_000;
}

/** Twenty looks on eight tells, on connections that each wait for their answer: nothing is pipelined, as with 28,000. */
async function sustained(node: RedisNode): Promise<{ perSecond: number; perCpuSecond: number }> {
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect(node.port, '127.0.0.1').setNoDelay();
      await once(socket, 'connect');
      return socket;
    }),
  );
  const look = command('HMGET', `{bench}total${PHASE}`, 'f', 'p');
  const cpuBeforeMs = processCpuMs(node.pid);
  const started = performance.now();
  const endMs = started + LASTS_MS;
  let done = 0;
  let told = 0;
  const next = (): Buffer => {
    done += 1;
    if (done % 7 >= 2) return look;
    told += 1;
    return command(
      'FCALL',
      functionName('tell'),
      '2',
      `{bench}total${PHASE}`,
      `{bench}told${PHASE}`,
      instanceName(told % WRITERS),
      String(2_000_000 + told * 100),
      String(2_000 + told),
    );
  };
  await Promise.all(sockets.map((socket) => talk(socket, next, endMs)));
  const seconds = (performance.now() - started) / 1_000;
  const cpuSeconds = (processCpuMs(node.pid) - cpuBeforeMs) / 1_000;
  for (const socket of sockets) socket.destroy();
  return { perSecond: done / seconds, perCpuSecond: cpuSeconds === 0 ? done / seconds : done / cpuSeconds };
}

/** One command after the other; an answer of two numbers comes in one piece. */
function talk(socket: Socket, next: () => Buffer, endMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (answer: Buffer) => {
      if (answer[0] === '-'.charCodeAt(0)) return reject(new Error(answer.toString()));
      if (performance.now() > endMs) return resolve();
      socket.write(next());
    });
    socket.write(next());
  });
}

const command = (...parts: readonly string[]): Buffer =>
  Buffer.from(`*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`);

async function usedMemory(node: RedisNode): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(String(await node.call('INFO', 'memory')))?.[1]);
}
