import { findPostgres } from '../../tools/services/binaries.ts';
import { startPostgres } from '../../tools/services.ts';

export { freePort } from '../../tools/services.ts';

export { quiet } from './quiet.ts';

export type PostgresKind = 'embedded' | 'system';

export interface TestPostgres {
  readonly kind: PostgresKind;
  /** A fresh, empty database on the server. */
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
}

export const postgresKinds = (): PostgresKind[] => (findPostgres() ? ['embedded', 'system'] : ['embedded']);

/** A real server in a temporary folder: the one from npm, or the machine's own. */
export async function startTestPostgres(kind: PostgresKind = 'embedded'): Promise<TestPostgres> {
  const server = await startPostgres({ kind });
  return { kind, createDatabase: () => server.createDatabase(), stop: () => server.discard() };
}
