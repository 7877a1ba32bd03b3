import type { Pool } from 'pg';
import type { Operators } from '../../ports.ts';
import { asFault } from '../retryable.ts';
import { RollBack, transaction } from '../transaction.ts';

/** Operators beyond the first, and who added them. */
export function createOperators(pool: Pool): Operators {
  return {
    async add({ name, keyHash, addedBy, atMs }) {
      try {
        return await transaction(pool, async (client) => {
          const { rowCount } = await client.query(
            'INSERT INTO control.operator (name, key_hash) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING',
            [name, Buffer.from(keyHash)],
          );
          if (rowCount !== 1) throw new RollBack(false);
          // As with the first one: an old terminal must not hold a way in, least of all under a name that is taken.
          await client.query('UPDATE control.setup_token SET spent = true WHERE NOT spent');
          await client.query(
            'INSERT INTO reissue.operator_event (name, added_by, at_ms) VALUES ($1, $2, $3)',
            [name, addedBy, atMs],
          );
          return true;
        });
      } catch (error) {
        throw asFault(error);
      }
    },
    async list() {
      try {
        const { rows } = await pool.query<{ name: string; added_by: string | null }>(
          'SELECT name, added_by FROM control.operator LEFT JOIN reissue.operator_event USING (name) ORDER BY name',
        );
        return rows.map((row) => ({ name: row.name, addedBy: row.added_by ?? undefined }));
      } catch (error) {
        throw asFault(error);
      }
    },
  };
}
