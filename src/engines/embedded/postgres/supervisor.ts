import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { findBinaries } from './binaries.ts';
import { openCluster } from './cluster.ts';
import { endPostmaster, findPostmaster, type Postmaster, spawnPostmaster } from './postmaster.ts';
import { chooseRunAs } from './run-as.ts';

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
const READY_INTERVAL_MS = 15;
const RESTART_DELAY_MS_MAX = 5_000;
const STOP_PATIENCE_MS = 20_000;

/**
 * Runs the Postgres that ships in npm on `dataFolder`: makes the cluster at first, takes over the server that a killed
 * engine left behind (or ends it, when its settings are not today's), starts it again whenever it dies.
 * Throws with cause and remedy when it can't be started.
 */
export async function startEmbeddedPostgres(options: {
  dataFolder: string;
  logger: Logger;
}): Promise<EmbeddedPostgres> {
  const { logger } = options;
  const runAs = chooseRunAs();
  const binaries = findBinaries(runAs, logger);
  const cluster = await openCluster(options.dataFolder, binaries, runAs, logger);
  const found = findPostmaster(cluster.folder);
  if (found && !found.asWeWould) await endPostmaster(found, STOP_PATIENCE_MS);
  const takenOver = found?.asWeWould ? found : undefined;
  const port = takenOver?.port ?? (await choosePort(options.dataFolder));
  if (takenOver)
    logger.info({ pid: takenOver.pid }, 'took over the Postgres that an earlier engine left running');

  const url = `postgres://hongbao:${cluster.password}@127.0.0.1:${port}/postgres`;
  const start = () => spawnPostmaster(cluster.folder, port, binaries, runAs);
  let postmaster: Postmaster = takenOver ?? start();
  let stopping = false;
  await untilReady(url, () => postmaster, cluster.folder);

  async function keepAlive(): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      const startedAt = performance.now();
      await postmaster.gone;
      if (stopping) return;
      if (performance.now() - startedAt > RESTART_DELAY_MS_MAX) failures = 0;
      const delayMs = Math.min(100 * 2 ** failures, RESTART_DELAY_MS_MAX);
      logger.error({ pid: postmaster.pid, delayMs }, 'Postgres died; starting it again');
      await delay(delayMs);
      if (stopping) return;
      postmaster = start();
    }
  }
  const kept = keepAlive();

  return {
    url,
    version: binaries.version,
    pid: () => postmaster.pid,
    async stop() {
      stopping = true;
      await endPostmaster(postmaster, STOP_PATIENCE_MS);
      await kept;
    },
  };
}

/** The port of last time if it is free, so that a URL that somebody noted stays right; else any free one. */
async function choosePort(dataFolder: string): Promise<number> {
  const file = path.join(dataFolder, 'port');
  let last = 0;
  try {
    last = Number(readFileSync(file, 'utf8'));
  } catch {
    // The first start.
  }
  const port = (last > 0 && (await freePort(last))) || (await freePort(0));
  if (!port) throw new Error('No free port on 127.0.0.1 for the embedded Postgres.');
  writeFileSync(file, String(port));
  return port;
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

async function untilReady(url: string, current: () => Postmaster, folder: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  let ended = false;
  void current().gone.then(() => {
    ended = true;
  });
  for (;;) {
    try {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
      client.on('error', () => {});
      await client.connect();
      await client.end();
      return;
    } catch (cause) {
      if (ended || performance.now() > deadline) {
        const log = readFileSync(path.join(folder, 'server.log'), 'utf8')
          .trim()
          .split('\n')
          .slice(-5)
          .join('\n');
        throw new Error(
          `The embedded Postgres did not start. Its log (${path.join(folder, 'server.log')}) ends with:\n${log}`,
          { cause },
        );
      }
      await delay(READY_INTERVAL_MS);
    }
  }
}
