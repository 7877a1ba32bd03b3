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

/** How many of these orders no shard has credited. */
export async function uncredited(
  { servers }: { readonly servers: { readonly shards: readonly { readonly url: string }[] } },
  orders: readonly string[],
): Promise<number> {
  const sql = 'SELECT DISTINCT ref FROM ledger.posting WHERE act_id > 0 AND ref = ANY($1)';
  const found = await Promise.all(
    servers.shards.map((shard) => rowsOf<{ ref: string }>(shard, sql, [orders])),
  );
  const credited = new Set(found.flat().map(({ ref }) => ref));
  return new Set(orders.filter((order) => !credited.has(order))).size;
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
