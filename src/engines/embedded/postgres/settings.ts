import os from 'node:os';

const MIB = 2 ** 20;
const SHARED_BUFFERS_MIB = { least: 128, most: 4_096 };

/**
 * A quarter of the memory, as Postgres recommends. Credits go to random people, so the pages of the postings' key
 * should all be in there: 0.8 GB at ten million rows (docs/decisions/0002). It is only taken as it fills.
 */
export function sharedBuffersMib(memoryBytes: number): number {
  const quarter = Math.floor(memoryBytes / 4 / MIB);
  return Math.max(SHARED_BUFFERS_MIB.least, Math.min(SHARED_BUFFERS_MIB.most, quarter));
}

/** What this process may use: the machine's memory, or less where a container says so. */
const memoryBytes = (): number => Math.min(os.totalmem(), process.constrainedMemory() || os.totalmem());

/** Nothing acknowledged may be lost (docs/runbooks/ledger.md), and an insert-heavy ledger on one machine must keep up. */
export const SETTINGS: Readonly<Record<string, string>> = {
  // The promise is kept on disk: nothing here trades durability for speed.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // A full page is written at each page's first change after a checkpoint, so checkpoints are kept rare. Compressing
  // those pages (this build has pglz only) cost a fifth of the credits a second, measured.
  wal_compression: 'off',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  checkpoint_completion_target: '0.9',
  wal_buffers: '16MB',
  shared_buffers: `${sharedBuffersMib(memoryBytes())}MB`,
  max_connections: '50',
  // Batches are short prepared statements; compiling them costs more than it saves.
  jit: 'off',
  // Inserted rows are frozen in the background before they are many.
  autovacuum_vacuum_insert_scale_factor: '0.4',
  // Budget lines, pieces and withdrawals are updated in place again and again.
  autovacuum_naptime: '20s',
  // Only this machine, only with the password.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] ',
  timezone: 'UTC',
};
