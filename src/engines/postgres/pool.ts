import pg from 'pg';
import type { Logger } from 'pino';

/** A wrong ledger URL; the message never holds the password. */
class BadDatabaseUrl extends Error {
  override readonly name = 'BadDatabaseUrl';
}

const INT8_OID = 20;
const NUMERIC_OID = 1700;

/** Sums of int8 are numeric in Postgres; ours are whole, so both arrive as bigint. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === INT8_OID || oid === NUMERIC_OID ? BigInt : pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig;

export interface PoolOptions {
  readonly url: string;
  readonly logger: Logger;
  readonly connectionsMax: number;
  readonly applicationName: string;
  /** The longest statement, ms; what the server doesn't say within a sixth more is given up here. */
  readonly statementMsMax?: number;
}

/**
 * Connections to one Postgres. Every statement, lock wait and idle transaction has a deadline, so that nothing hangs
 * on a server that is gone. Throws BadDatabaseUrl for what is no postgres:// URL.
 */
export function openPool(options: PoolOptions): pg.Pool {
  assertPostgresUrl(options.url);
  const statementMs = options.statementMsMax ?? 30_000;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax,
    application_name: options.applicationName,
    connectionTimeoutMillis: Math.min(5_000, statementMs),
    idleTimeoutMillis: 60_000,
    statement_timeout: statementMs,
    lock_timeout: Math.min(10_000, statementMs),
    idle_in_transaction_session_timeout: 15_000,
    query_timeout: Math.ceil((statementMs * 7) / 6),
    keepAlive: true,
    allowExitOnIdle: true,
    types,
  });
  // An idle connection that breaks is replaced at its next use; unheard, the event would end the process.
  pool.on('error', (error) =>
    options.logger.warn({ error: error.message }, 'a database connection broke while idle'),
  );
  // Also while it is checked out, between two statements of a transaction: the next statement fails and says so.
  pool.on('connect', (client) => {
    client.on('error', (error) =>
      options.logger.warn({ error: error.message }, 'a database connection broke in use'),
    );
  });
  return pool;
}

export function assertPostgresUrl(text: string): void {
  const remedy = 'Write it as postgres://user:password@host:5432/database.';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new BadDatabaseUrl(`The ledger's address can't be read as a URL. ${remedy}`);
  }
  if (!/^postgres(ql)?:$/.test(url.protocol)) {
    throw new BadDatabaseUrl(`The ledger's address starts with ${url.protocol}, not postgres:. ${remedy}`);
  }
  if (!url.hostname) throw new BadDatabaseUrl(`The ledger's address names no host. ${remedy}`);
}
