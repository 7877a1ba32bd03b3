import type { Pool, PoolClient } from 'pg';

/** Thrown inside a transaction to roll it back and to give `value` to the caller all the same. */
export class RollBack<Value> extends Error {
  constructor(readonly value: Value) {
    super('rolled back on purpose');
  }
}

/** Runs `act` in one transaction. A connection on which anything failed is not used again. */
export async function transaction<Result>(
  pool: Pool,
  act: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await act(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    try {
      await client.query('ROLLBACK');
    } catch (cause) {
      broken = cause as Error;
    }
    if (error instanceof RollBack) return error.value as Result;
    throw error;
  } finally {
    client.release(broken);
  }
}
