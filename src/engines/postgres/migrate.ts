import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { transaction } from './transaction.ts';

export interface Migration {
  /** Ordered by the list, known by its name for ever. */
  readonly name: string;
  readonly sql: string;
}

/** Any number; the same in every process, so that replicas that start together take turns. */
const ADVISORY_LOCK = 5_201_314n;

/**
 * Brings the database up to the list, each migration in a transaction of its own. Throws when one that was applied
 * has changed since: then this version and the database do not belong together.
 */
export async function migrate(pool: Pool, migrations: readonly Migration[]): Promise<void> {
  for (const { name, sql } of [{ name: 'migration-table', sql: '' }, ...migrations]) {
    const checksum = createHash('sha256').update(sql).digest('hex');
    await transaction(pool, async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
      await client.query(
        'CREATE TABLE IF NOT EXISTS public.hongbao_migration (name text PRIMARY KEY, checksum text NOT NULL)',
      );
      const { rows } = await client.query<{ checksum: string }>(
        'SELECT checksum FROM public.hongbao_migration WHERE name = $1',
        [name],
      );
      if (rows[0]) {
        if (rows[0].checksum === checksum) return;
        throw new Error(
          `Migration ${name} was applied in another wording. Use the version of Hongbao that made this database, or a new one.`,
        );
      }
      if (sql) await client.query(sql);
      await client.query('INSERT INTO public.hongbao_migration (name, checksum) VALUES ($1, $2)', [
        name,
        checksum,
      ]);
    });
  }
}
