import pg from 'pg';

/** Rows of a query on a database that may be away: rejects then. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  server: { readonly url: string },
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** A counter of a process, over all its labels; 0 when it does not answer. `name` may end with {label="value"}. */
export async function counterOf(opsUrl: string, name: string): Promise<number> {
  const text = await fetch(`${opsUrl}/metrics`, { signal: AbortSignal.timeout(5_000) }).then(
    (response) => response.text(),
    () => '',
  );
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
