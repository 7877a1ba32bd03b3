import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import type { Logger } from 'pino';
import { faultOf, isFunctionMissing, isLibraryThere, isTooOld, UnfitServer, unavailable } from './faults.ts';
import { functionName, LIBRARY_TEXT, type RedisFunction } from './functions/index.ts';
import { createGate } from './gate.ts';
import { parseRedisUrl, type RedisAddress } from './url.ts';

export type RedisArgument = string | number | Buffer;

export interface RedisClientOptions {
  /** redis://host:port,host:port: see `parseRedisUrl`. */
  readonly url: string;
  readonly logger: Logger;
  /** From 0 up to 1: spreads reconnects. */
  readonly random: () => number;
  /** After this, in ms, a call is a fault; what it asked for may be done all the same. */
  readonly callTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** Calls that may be under way; one more is refused at once. */
  readonly callsMax?: number;
  /** Bytes of arguments that may be under way. */
  readonly bytesMax?: number;
}

export interface RedisHealth {
  /** Every primary that is known answers, and some are. */
  readonly reachable: boolean;
  readonly reason?: string;
  readonly primaries: number;
  readonly answering: number;
}

/**
 * A Redis Cluster. A call that fails for the moment throws `RetryableFault('book-unavailable')` and may have been done;
 * nothing is kept to be sent later. Replies come as Buffers; only primaries are asked.
 */
export interface RedisClient {
  /**
   * Resolves when the cluster was reached for the first time; calls before that are faults. Rejects when it can't run
   * our functions (a server before Redis 7.0). Need not be awaited.
   */
  readonly ready: Promise<void>;
  /** One command; its keys lie in one slot. */
  command(name: string, ...args: readonly RedisArgument[]): Promise<unknown>;
  /** One of our functions; keys lie in one slot. Loaded where it is missing. */
  invoke(name: RedisFunction, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>;
  /** Tells of every message of a channel that arrives while there is a connection; gives back how to end it. */
  listen(channel: string, onMessage: (message: Buffer) => void): () => void;
  health(): Promise<RedisHealth>;
  /** Calls under way, and the bytes of their arguments. */
  load(): { readonly calls: number; readonly bytes: number };
  close(): Promise<void>;
}

const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 2_000;
const SUBSCRIBE_AGAIN_MS = 1_000;

/** Connects in the background and for as long as it takes; a cluster that is not there yet is no error. */
export function connectRedis(options: RedisClientOptions): RedisClient {
  const { logger, callTimeoutMs = 1_000 } = options;
  const address = parseRedisUrl(options.url);
  const cluster = new Cluster(
    address.nodes.map((node) => ({ ...node })),
    clusterOptions(address, options, callTimeoutMs),
  );
  const gate = createGate(options.callsMax ?? 1_000, options.bytesMax ?? 16 << 20);

  // The pool dials a node when it is first asked for, and turns away whoever asks while it dials: so dial at once.
  cluster.on('+node', (node: Redis) => void node.connect().catch(() => {}));
  cluster.on('node error', (error: Error, node: string) =>
    logger.debug({ node, reason: error.message }, 'a Redis node is in trouble'),
  );
  watch(cluster, logger);

  /** Within its time, or a fault; the place at the gate is held until the client has truly let go of it. */
  function call(args: readonly RedisArgument[], send: () => Promise<unknown>): Promise<unknown> {
    const leave = gate.enter(bytesOf(args));
    if (!leave) return Promise.reject(unavailable('Redis: too many calls are under way'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(unavailable(`Redis: no answer in ${callTimeoutMs} ms`)),
        callTimeoutMs,
      );
      send()
        .then(resolve, (error: unknown) => reject(faultOf(error)))
        .finally(() => {
          clearTimeout(timer);
          leave();
        });
    });
  }

  let loading: Promise<void> | undefined;

  /** On every primary that answers; replicas are given it by their primary. Many callers, one loading. */
  function loadFunctions(): Promise<void> {
    loading ??= Promise.allSettled(cluster.nodes('master').map(loadOn)).then((results) => {
      loading = undefined;
      const failed = results.find((result) => result.status === 'rejected');
      if (failed && results.every((result) => result.status === 'rejected')) throw failed.reason;
    });
    return loading;
  }

  const fcall = (name: RedisFunction, keys: readonly string[], args: readonly RedisArgument[]) =>
    call(args, () =>
      cluster.callBuffer('FCALL', functionName(name), keys.length, ...keys, ...args).catch(async (error) => {
        if (!isFunctionMissing(error)) throw error;
        await loadFunctions();
        return cluster.callBuffer('FCALL', functionName(name), keys.length, ...keys, ...args);
      }),
    );

  const ready = new Promise<void>((resolve, reject) => {
    const fail = (error: unknown) => (faultOf(error) === error ? reject(error) : resolve());
    cluster.on('ready', () => void loadFunctions().then(resolve, fail));
  });
  ready.catch((error: Error) => logger.error({ reason: error.message }, 'Redis can not be used'));

  return {
    ready,
    command: (name, ...args) => call(args, () => cluster.callBuffer(name, ...args)),
    invoke: fcall,
    listen: (channel, onMessage) => listen(cluster, channel, onMessage),
    health: () => healthOf(cluster, callTimeoutMs),
    load: gate.load,
    async close() {
      cluster.disconnect();
    },
  };
}

function clusterOptions(address: RedisAddress, options: RedisClientOptions, callTimeoutMs: number) {
  const { username, password, tls } = address;
  return {
    // Nothing waits in a queue for better times: whoever asks is told at once, and knows better what to do.
    enableOfflineQueue: false,
    // It would ask one primary, and take "still dialling" for "not ready": whether slots are served, calls find out.
    enableReadyCheck: false,
    // A replica may be behind; the wallet must not see yesterday's book.
    scaleReads: 'master' as const,
    // For ever, and not all processes at once.
    clusterRetryStrategy: (times: number) =>
      Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** Math.min(times, 10)) * (0.5 + options.random() / 2),
    slotsRefreshTimeout: 1_000,
    // A connection that dies says nothing about who serves its slots now.
    slotsRefreshInterval: 1_000,
    // A short look around for the node that has taken over: at most 6 × 50 ms. What is sent again is idempotent.
    maxRedirections: 6,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    retryDelayOnTryAgain: 50,
    redisOptions: {
      protocol: 2 as const,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls ? { tls: {} } : {}),
      connectionName: 'hongbao',
      connectTimeout: options.connectTimeoutMs ?? 2_000,
      commandTimeout: callTimeoutMs,
      // A frozen server's connection stays open, and what is written to it would pile up here.
      socketTimeout: 2 * callTimeoutMs,
      // Not once more after a cut connection, behind the back of whoever asked.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      keepAlive: 5_000,
    },
  };
}

/** A connection that is lost as soon as it is there (to a node that names none who serve) is not back. */
const BACK_AFTER_MS = 1_000;

/** Says once that it is gone, and why; once that it is back. */
function watch(cluster: Cluster, logger: Logger): void {
  let isGone = false;
  let reason: string | undefined;
  let back: NodeJS.Timeout | undefined;
  cluster.on('ready', () => {
    reason = undefined;
    if (!isGone) return;
    back = setTimeout(() => {
      isGone = false;
      logger.info('Redis is back');
    }, BACK_AFTER_MS);
    back.unref();
  });
  cluster.on('close', () => {
    clearTimeout(back);
    if (!isGone)
      logger.warn(
        { reason: reason ?? 'no node is named that serves anything: is each announced under its address?' },
        'no node of the Redis Cluster can be used; trying again until one can',
      );
    isGone = true;
  });
  cluster.on('error', (error: Error & { lastNodeError?: Error }) => {
    reason = (error.lastNodeError ?? error).message;
    logger.debug({ reason }, 'Redis can not be reached');
  });
}

async function loadOn(node: Redis): Promise<void> {
  try {
    await node.call('FUNCTION', 'LOAD', LIBRARY_TEXT);
  } catch (error) {
    if (isLibraryThere(error)) return;
    throw isTooOld(error)
      ? new UnfitServer('Redis 7.0 or newer is needed: this one has no functions')
      : error;
  }
}

/**
 * Subscribes again every second: the client library may lose a subscription when its connection moves from one node to
 * the next, without a word, and to subscribe again costs nothing.
 */
function listen(cluster: Cluster, channel: string, onMessage: (message: Buffer) => void): () => void {
  const subscribe = () => void cluster.subscribe(channel).catch(() => {});
  const hear = (from: Buffer, message: Buffer) => {
    if (from.toString() === channel) onMessage(message);
  };
  cluster.on('messageBuffer', hear);
  subscribe();
  const timer = setInterval(subscribe, SUBSCRIBE_AGAIN_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    cluster.off('messageBuffer', hear);
  };
}

async function healthOf(cluster: Cluster, timeoutMs: number): Promise<RedisHealth> {
  const nodes = cluster.status === 'ready' ? cluster.nodes('master') : [];
  const answers = await Promise.all(nodes.map((node) => doesAnswer(node, timeoutMs)));
  const answering = answers.filter(Boolean).length;
  const counts = { primaries: nodes.length, answering };
  if (nodes.length > 0 && answering === nodes.length) return { reachable: true, ...counts };
  const reason =
    nodes.length === 0
      ? `no node reached (${cluster.status})`
      : `${answering} of ${nodes.length} primaries answer`;
  return { reachable: false, reason, ...counts };
}

async function doesAnswer(node: Redis, timeoutMs: number): Promise<boolean> {
  if (node.status !== 'ready') return false;
  return (
    (await Promise.race([node.ping(), delay(timeoutMs, undefined, { ref: false })]).catch(
      () => undefined,
    )) === 'PONG'
  );
}

const bytesOf = (args: readonly RedisArgument[]): number =>
  args.reduce<number>((sum, arg) => sum + (typeof arg === 'number' ? 8 : arg.length), 0);
