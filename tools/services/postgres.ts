import { execFile } from 'node:child_process';
import { chownSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import pino from 'pino';
import { findBinaries } from '../../src/engines/embedded/postgres/binaries.ts';
import { chooseRunAs } from '../../src/engines/embedded/postgres/run-as.ts';
import { SETTINGS } from '../../src/engines/embedded/postgres/settings.ts';
import { findPostgres, whyMissing } from './binaries.ts';
import { freePort } from './ports.ts';
import { freshFolder, type OwnedServerNode, type ServerNode, startServer } from './server.ts';

export interface PostgresOptions {
  /** The one from npm, or the machine's own. Default: embedded. */
  readonly kind?: 'embedded' | 'system';
  readonly name?: string;
  /** Further settings, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Further environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface PostgresServer extends ServerNode {
  /** The database `postgres`, as superuser, without a password: loopback, and for tests. */
  readonly url: string;
  /** A fresh, empty database. */
  createDatabase(name?: string): Promise<string>;
  /** Cleared away for good, with its files. */
  discard(): Promise<void>;
}

/** A real Postgres on a free loopback port: files in a temporary folder, gone with this process at the latest. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const runAs = chooseRunAs();
  const programs =
    options.kind === 'system' ? systemPrograms() : findBinaries(runAs, pino({ level: 'silent' }));
  const folder = freshFolder(options.name ?? 'postgres');
  if (runAs) chownSync(folder, runAs.uid, runAs.gid);
  const data = path.join(folder, 'data');
  const initdb = ['-D', data, '-U', 'hongbao', '-E', 'UTF8', '--locale=C', '-k', '-N', '-A', 'trust'];
  await promisify(execFile)(programs.initdb, initdb, { ...runAs, cwd: '/' });
  const port = await freePort();
  const url = `postgres://hongbao@127.0.0.1:${port}/postgres`;
  const settings: Record<string, string> = {
    ...SETTINGS,
    // Many tests, and many roles, share one server.
    max_connections: '200',
    ...options.settings,
  };
  const server = await startServer({
    name: options.name ?? 'postgres',
    command: programs.postgres,
    args: [
      '-D',
      data,
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
    ],
    port,
    folder,
    runAs,
    ...(options.env ? { env: options.env } : {}),
    stopSignal: 'SIGINT',
    isReady: async () => (await query(url, 'SELECT 1')) > 0,
  });
  let databases = 0;
  return Object.assign(Object.create(server) as OwnedServerNode, {
    url,
    async createDatabase(name?: string) {
      databases += 1;
      const database = name ?? `test_${databases}`;
      await query(url, `CREATE DATABASE ${pg.escapeIdentifier(database)}`);
      return Object.assign(new URL(url), { pathname: `/${database}` }).href;
    },
  });
}

function systemPrograms(): { readonly initdb: string; readonly postgres: string } {
  const found = findPostgres();
  if (!found) throw new Error(whyMissing('postgres'));
  return found;
}

async function query(url: string, sql: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rowCount } = await client.query(sql);
    return rowCount ?? 0;
  } finally {
    await client.end().catch(() => {});
  }
}
