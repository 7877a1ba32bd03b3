import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { lockFolder } from '../folder-lock.ts';
import { findBinaries, type PostgresBinaries } from './binaries.ts';
import { type Cluster, openCluster, openHome } from './cluster.ts';
import { endPostmaster, findPostmaster, type Postmaster, spawnPostmaster } from './postmaster.ts';
import { chooseRunAs, type RunAs } from './run-as.ts';

export interface EmbeddedPostgres {
  /** postgres:// with the password; stays the same when the server has to be restarted. */
  readonly url: string;
  readonly version: string;
  /** The postmaster in charge now. */
  pid(): number;
  /** Orderly: no more restarts, fast shutdown, checkpoint, gone. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STARTS_MAX = 5;
const PORTS_TRIED = 20;
const READY_INTERVAL_MS = 15;
const RESTART_DELAY_MS_MAX = 5_000;
const STOP_PATIENCE_MS = 20_000;

/** What it takes to start a server on a cluster. */
interface Starting {
  readonly dataFolder: string;
  readonly cluster: Cluster;
  readonly binaries: PostgresBinaries;
  readonly runAs: RunAs | undefined;
  readonly logger: Logger;
}

/**
 * Runs the Postgres that ships in npm on `dataFolder`: makes the cluster at first, takes over the server that a killed
 * engine left behind (or ends it, when its settings are not today's), starts it again whenever it dies.
 * Throws with cause and remedy when it can't be started, or when another living engine has the folder.
 */
export async function startEmbeddedPostgres(options: {
  dataFolder: string;
  logger: Logger;
}): Promise<EmbeddedPostgres> {
  const { dataFolder, logger } = options;
  const runAs = chooseRunAs();
  const binaries = findBinaries(runAs, logger);
  const home = openHome(dataFolder, runAs, logger);
  // Without it a second engine would take the first one's server for an orphan, and end it when it leaves.
  const unlock = lockFolder(home, 'supervisor.lock', path.resolve(dataFolder));
  try {
    const cluster = await openCluster(dataFolder, home, binaries, runAs, logger);
    const starting = { dataFolder, cluster, binaries, runAs, logger };
    const postmaster = await startServer(starting);
    return supervise(starting, postmaster, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

const urlOf = ({ cluster }: Starting, port: number): string =>
  `postgres://hongbao:${cluster.password}@127.0.0.1:${port}/postgres`;

function supervise(starting: Starting, first: Postmaster, unlock: () => void): EmbeddedPostgres {
  const { cluster, binaries, runAs, logger } = starting;
  let postmaster = first;
  const stopping = new AbortController();

  async function keepAlive(): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      const startedAt = performance.now();
      await postmaster.gone;
      if (stopping.signal.aborted) return;
      if (performance.now() - startedAt > RESTART_DELAY_MS_MAX) failures = 0;
      const delayMs = Math.min(100 * 2 ** failures, RESTART_DELAY_MS_MAX);
      logger.error({ pid: postmaster.pid, delayMs }, 'Postgres died; starting it again');
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      postmaster = spawnPostmaster(cluster.folder, first.port, binaries, runAs);
    }
  }
  const kept = keepAlive();

  return {
    url: urlOf(starting, first.port),
    version: binaries.version,
    pid: () => postmaster.pid,
    async stop() {
      stopping.abort();
      await endPostmaster(postmaster, STOP_PATIENCE_MS);
      await kept;
      unlock();
    },
  };
}

/** A server that answers: the one that was left running, or a new one. */
async function startServer(starting: Starting): Promise<Postmaster> {
  const { cluster, logger } = starting;
  for (let tries = 1; ; tries += 1) {
    // At each try: an engine that was killed at its start leaves a server that has written its pid file only just now.
    const found = findPostmaster(cluster.folder);
    if (found?.asWeWould && (await isReady(starting, found))) {
      logger.info({ pid: found.pid }, 'took over the Postgres that an earlier engine left running');
      return found;
    }
    if (found) await endPostmaster(found, STOP_PATIENCE_MS);
    const port = await choosePort(starting.dataFolder);
    const postmaster = spawnPostmaster(cluster.folder, port, starting.binaries, starting.runAs);
    if (await isReady(starting, postmaster)) return postmaster;
    const ended = postmaster.hasGone();
    await endPostmaster(postmaster, STOP_PATIENCE_MS);
    if (!ended || tries === STARTS_MAX) throw new Error(failure(cluster.folder));
    // The backends of a postmaster that was killed may hold its memory for a moment, or somebody has taken the port.
    await delay(100 * 2 ** tries);
  }
}

function failure(folder: string): string {
  const file = path.join(folder, 'server.log');
  const end = readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n');
  return `The embedded Postgres did not start. Its log (${file}) ends with:\n${end}`;
}

/** True when it answers; false when it ended, or when it takes too long. Throws when it refuses our password. */
async function isReady(starting: Starting, postmaster: Postmaster): Promise<boolean> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!postmaster.hasGone() && performance.now() < deadline) {
    const client = new pg.Client({
      connectionString: urlOf(starting, postmaster.port),
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return true;
    } catch (cause) {
      if ((cause as { code?: string }).code === '28P01') {
        await endPostmaster(postmaster, STOP_PATIENCE_MS);
        throw new Error(
          `The ledger's cluster ${starting.cluster.folder} does not take the password of its data folder. Bring ` +
            'superuser.password back from a copy.',
          { cause },
        );
      }
    }
    await delay(READY_INTERVAL_MS);
  }
  return false;
}

/**
 * The port of last time if it is free, so that a URL that somebody noted stays right; else any free one below the range
 * that systems give to clients: from inside it, a client that dials while the server is down may get the very port.
 */
async function choosePort(dataFolder: string): Promise<number> {
  const file = path.join(dataFolder, 'port');
  const last = Number(existsSync(file) ? readFileSync(file, 'utf8') : 0);
  const wanted = [
    ...(last > 0 && last < 65_536 ? [last] : []),
    ...Array.from({ length: PORTS_TRIED }, () => randomInt(15_000, 32_000)),
    0,
  ];
  for (const one of wanted) {
    const port = await freePort(one);
    if (port === undefined) continue;
    writeFileSync(file, String(port));
    return port;
  }
  throw new Error('No free port on 127.0.0.1 for the embedded Postgres.');
}

async function freePort(wanted: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(wanted, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    return port;
  } catch {
    return undefined;
  }
}
