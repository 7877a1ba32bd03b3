import { setTimeout as delay } from 'node:timers/promises';
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { Clock } from '../../vocabulary/instant.ts';
import { spareEndedSockets } from './ended-sockets.ts';

export interface NatsOptions {
  /** `nats://user:password@host:port,host:port`, or `tls://…`. */
  readonly url: string;
  /** Shown in the servers' list of connections. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** What the client library takes beside it: certificates, credentials. */
  readonly more?: Pick<ConnectionOptions, 'tls' | 'authenticator'>;
}

export interface NatsLink {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long there has been no connection, in ms; 0 when there is one. */
  downForMs(): number;
  /** Told whenever the connection is lost or back; the function that is given back ends it. */
  onChange(listener: (isUp: boolean) => void): () => void;
  close(): Promise<void>;
}

const RECONNECT_MS = 250;
const RECONNECT_JITTER_MS = 500;
const DIAL_TIMEOUT_MS = 3_000;
const SAID_FIRST_AFTER_MS = 1_000;
const SAID_EVERY_MS = 6_000;
/** A server that is gone without a word (a pulled cable) is noticed after two of these. */
const PING_INTERVAL_MS = 2_000;
/** Of everything but publishing: infos, single records, consumers. */
const API_TIMEOUT_MS = 3_000;

/**
 * Connects, and stays so: it never gives up, reconnects with jitter, and waits for a first server that is not there
 * yet, so that processes may be started in any order. While there is no connection nothing is kept for later: what
 * is published then is dropped by the client at its next dial, so callers ask `downForMs` first.
 */
export async function connectNats(options: NatsOptions): Promise<NatsLink> {
  const { clock, logger } = options;
  const nc = await firstConnection(options);
  spareEndedSockets(nc);
  let isClosing = false;
  const listeners = new Set<(isUp: boolean) => void>();
  let downSinceMs: number | undefined;
  const change = (isUp: boolean): void => {
    if (isUp === (downSinceMs === undefined)) return;
    downSinceMs = isUp ? undefined : clock.monotonicMs();
    if (!isClosing)
      logger[isUp ? 'info' : 'warn']({ server: nc.getServer() }, isUp ? 'NATS is back' : 'NATS is gone');
    for (const listener of listeners) listener(isUp);
  };
  void watch(nc, change);
  return {
    nc,
    js: jetstream(nc, { timeout: API_TIMEOUT_MS }),
    jsm: await jetstreamManager(nc, { timeout: API_TIMEOUT_MS, checkAPI: false }),
    clock,
    logger,
    downForMs: () => (downSinceMs === undefined ? 0 : Math.max(1, clock.monotonicMs() - downSinceMs)),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      listeners.clear();
      isClosing = true;
      await nc.close();
    },
  };
}

async function firstConnection(options: NatsOptions): Promise<NatsConnection> {
  const met = new AbortController();
  const address = {
    ...parseNatsUrl(options.url),
    ...options.more,
    name: options.name,
    timeout: DIAL_TIMEOUT_MS,
  };
  void sayWhyItWaits(address, options.logger, met.signal);
  try {
    return await connect({
      ...address,
      reconnect: true,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => RECONNECT_MS + Math.floor(options.random() * RECONNECT_JITTER_MS),
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      // A stack for each request costs more than the request.
      noAsyncTraces: true,
    });
  } finally {
    met.abort();
  }
}

/** The client library waits without a word. A second connection, which does not wait, is told the reason. */
async function sayWhyItWaits(address: ConnectionOptions, logger: Logger, met: AbortSignal): Promise<void> {
  for (let pauseMs = SAID_FIRST_AFTER_MS; ; pauseMs = SAID_EVERY_MS) {
    await delay(pauseMs, undefined, { signal: met, ref: false }).catch(() => {});
    if (met.aborted) return;
    try {
      const found = await connect({ ...address, reconnect: false });
      spareEndedSockets(found);
      await found.close();
    } catch (error) {
      if (!met.aborted)
        logger.warn({ reason: (error as Error).message }, 'NATS (HONGBAO_LOG) can’t be reached yet; waiting');
    }
  }
}

/** Whether the server that was met is of this version, or newer. */
export function isAtLeast(link: NatsLink, major: number, minor: number): boolean {
  const [hasMajor = 0, hasMinor = 0] = (link.nc.info?.version ?? '').split('.').map(Number);
  return hasMajor > major || (hasMajor === major && hasMinor >= minor);
}

async function watch(nc: NatsConnection, change: (isUp: boolean) => void): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect') change(false);
    if (status.type === 'reconnect') change(true);
  }
  change(false);
}

/** User and password, or a token, stand in the URL, as everywhere else; the client library wants them apart. */
export function parseNatsUrl(
  text: string,
): Pick<ConnectionOptions, 'servers' | 'user' | 'pass' | 'token' | 'tls'> {
  const parsed = /^(nats|tls):\/\/(?:([^:@/]+)(?::([^@/]*))?@)?([^@/]+)\/?$/.exec(text);
  if (!parsed) throw new Error('a NATS URL looks like nats://user:password@host:4222,host:4222');
  const [, scheme, user, pass, hosts] = parsed;
  return {
    servers: hosts!.split(',').map((host) => host.trim()),
    ...(user === undefined ? {} : credentials(user, pass)),
    ...(scheme === 'tls' ? { tls: {} } : {}),
  };
}

/** What stands alone before the @ is a token, as in every client of NATS. */
const credentials = (user: string, pass: string | undefined) =>
  pass === undefined
    ? { token: decodeURIComponent(user) }
    : { user: decodeURIComponent(user), pass: decodeURIComponent(pass) };
