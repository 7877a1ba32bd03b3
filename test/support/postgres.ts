import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import pino from 'pino';
import { chooseRunAs } from '../../src/engines/embedded/postgres/run-as.ts';
import { startEmbeddedPostgres } from '../../src/engines/embedded/postgres/supervisor.ts';

export const quiet = pino({ level: 'silent' });

export type PostgresKind = 'embedded' | 'system';

export interface TestPostgres {
  readonly kind: PostgresKind;
  /** A fresh, empty database on the server. */
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
}

const SYSTEM_ROOT = '/usr/lib/postgresql';

const systemBin = (): string | undefined =>
  existsSync(SYSTEM_ROOT)
    ? readdirSync(SYSTEM_ROOT)
        .map((version) => path.join(SYSTEM_ROOT, version, 'bin'))
        .find((bin) => existsSync(path.join(bin, 'initdb')))
    : undefined;

export const postgresKinds = (): PostgresKind[] => (systemBin() ? ['embedded', 'system'] : ['embedded']);

/** A real server in a temporary folder: the one from npm, or the machine's own. */
export async function startTestPostgres(kind: PostgresKind = 'embedded'): Promise<TestPostgres> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-pg-'));
  const server = kind === 'embedded' ? await embedded(folder) : await system(folder);
  let databases = 0;
  return {
    kind,
    async createDatabase() {
      databases += 1;
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      await client.query(`CREATE DATABASE test_${databases}`);
      await client.end();
      const url = new URL(server.url);
      url.pathname = `/test_${databases}`;
      return url.href;
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function embedded(folder: string): Promise<{ url: string; stop(): Promise<void> }> {
  const { chmodSync } = await import('node:fs');
  chmodSync(folder, 0o755);
  return startEmbeddedPostgres({ dataFolder: folder, logger: quiet });
}

async function system(folder: string): Promise<{ url: string; stop(): Promise<void> }> {
  const bin = systemBin()!;
  const runAs = chooseRunAs();
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  const data = path.join(folder, 'data');
  execFileSync(
    path.join(bin, 'initdb'),
    ['-D', data, '-U', 'hongbao', '-E', 'UTF8', '--locale=C', '-A', 'trust'],
    {
      ...runAs,
      cwd: '/',
      stdio: 'ignore',
    },
  );
  const port = await freePort();
  const child = spawn(
    path.join(bin, 'postgres'),
    [
      '-D',
      data,
      '-p',
      String(port),
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      'unix_socket_directories=',
      '-c',
      'max_wal_size=4GB',
    ],
    { ...runAs, cwd: '/', stdio: 'ignore' },
  );
  const url = `postgres://hongbao@127.0.0.1:${port}/postgres`;
  for (;;) {
    try {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.end();
      break;
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await delay(20);
    }
  }
  return {
    url,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGINT');
      }),
  };
}

/**
 * A free port below the range that the system gives to clients. Inside it, somebody who dials a port where nobody
 * listens may be given that very port to dial from, be connected to himself, and keep it from who wants to listen.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 16_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
