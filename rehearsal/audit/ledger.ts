import pg from 'pg';

export interface Posting {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly purse: number;
  readonly ref: string;
  readonly amount_fen: bigint;
  readonly at_ms: bigint;
  readonly slice_id: bigint | null;
  readonly slice_epoch: number | null;
  readonly slice_index: number | null;
}
export interface AccountRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly purse: number;
  readonly balance_fen: bigint;
  readonly income_fen: bigint;
}
export interface WithdrawalRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly id: string;
  readonly amount_fen: bigint;
  readonly state: string;
}
export interface LineRow {
  readonly phase_key: number;
  readonly scene_id: string;
  readonly rain_id: number;
  readonly packet_cap_fen: bigint;
  readonly total_packets: bigint;
  readonly total_fen: bigint;
  readonly remaining_packets: bigint;
  readonly remaining_fen: bigint;
  readonly leased_packets: bigint;
  readonly leased_fen: bigint;
  readonly given_packets: bigint;
  readonly given_fen: bigint;
}
export interface SliceRow {
  readonly slice_id: bigint;
  readonly phase_key: number;
  readonly scene_id: string;
  readonly rain_id: number;
  readonly state: string;
  readonly amounts_fen: (string | bigint)[] | null;
  readonly packets: bigint;
  readonly fen: bigint;
  readonly given_packets: bigint | null;
  readonly given_fen: bigint | null;
  readonly grant_until_ms: bigint;
}
/** Money: what one database holds, or several together. */
export interface Money {
  readonly postings: readonly Posting[];
  readonly accounts: readonly AccountRow[];
  readonly withdrawals: readonly WithdrawalRow[];
  /** The sum over all postings of each database: zero, whatever lies there. */
  readonly sumsFen: readonly bigint[];
}
export interface Budgets {
  readonly lines: readonly LineRow[];
  readonly slices: readonly SliceRow[];
}
export interface Books extends Money, Budgets {}

/** One database of a ledger that is kept in several. */
export interface Shard extends Money {
  /** The people's buckets that it holds; what lies here of others is a copy on its way out. */
  readonly buckets: readonly number[];
  /** How many there are; undefined for a ledger that is alone, which holds everybody. */
  readonly bucketCount: number | undefined;
}

/** What only ever grows, so that it may be read later than the rest. */
export interface Catalog {
  /** The campaigns as applied, newest version first. */
  readonly campaigns: readonly { campaign_id: string; source: string }[];
  readonly phases: readonly { campaign_id: string; phase_id: string; phase_key: number }[];
  /** The slices that were asked for. */
  readonly slices: readonly SliceRow[];
}

const INT8 = 20;

const SLICE_COLUMNS =
  'slice_id, phase_key, scene_id, rain_id, state, amounts_fen, packets, fen, given_packets, given_fen, grant_until_ms';

type Rows = <Row extends object>(sql: string, values?: unknown[]) => Promise<Row[]>;

/** Everything the database holds, of one moment: a read-only transaction at repeatable read. */
export const readBooks = (url: string): Promise<Books> =>
  reading(url, async (rows) => ({ ...(await moneyIn(rows)), ...(await budgetsIn(rows)) }));

/** What control's database says of the budgets. */
export const readBudgets = (url: string): Promise<Budgets> => reading(url, budgetsIn);

/** One of several databases, of one moment of its own. */
export const readShard = (url: string): Promise<Shard> =>
  reading(url, async (rows) => {
    const [shard] = await rows<{ buckets: number }>('SELECT buckets FROM ledger.shard');
    const held = await rows<{ bucket: number }>(
      "SELECT bucket FROM ledger.bucket WHERE state IN ('held', 'leaving')",
    );
    return {
      ...(await moneyIn(rows)),
      buckets: held.map(({ bucket }) => bucket),
      bucketCount: shard?.buckets,
    };
  });

async function moneyIn(rows: Rows): Promise<Money> {
  const postings = await rows<Posting>(
    'SELECT act_id, phase_key, purse, ref, amount_fen, at_ms, slice_id, slice_epoch, slice_index FROM ledger.posting',
  );
  return {
    postings,
    accounts: await rows('SELECT act_id, phase_key, purse, balance_fen, income_fen FROM ledger.account'),
    withdrawals: await rows(
      'SELECT act_id, phase_key, id::text AS id, amount_fen, state FROM ledger.withdrawal',
    ),
    sumsFen: [postings.reduce((sum, posting) => sum + posting.amount_fen, 0n)],
  };
}

const budgetsIn = async (rows: Rows): Promise<Budgets> => ({
  lines: await rows(
    'SELECT phase_key, scene_id, rain_id, packet_cap_fen, total_packets, total_fen, remaining_packets, remaining_fen, leased_packets, leased_fen, given_packets, given_fen FROM allotment.line',
  ),
  slices: await rows(`SELECT ${SLICE_COLUMNS} FROM allotment.slice`),
});

/** The campaigns, and these slices: for orders that were promised after the books were read. */
export const readCatalog = (url: string, sliceIds: readonly bigint[]): Promise<Catalog> =>
  reading(url, async (rows) => ({
    campaigns: await rows(
      'SELECT campaign_id, source FROM control.campaign ORDER BY campaign_id, version DESC',
    ),
    phases: await rows('SELECT campaign_id, phase_id, phase_key FROM control.phase'),
    slices: await rows(`SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE slice_id = ANY($1)`, [
      sliceIds.map(String),
    ]),
  }));

async function reading<Read>(url: string, read: (rows: Rows) => Promise<Read>): Promise<Read> {
  const types = {
    getTypeParser: (oid: number, format?: unknown) =>
      oid === INT8 ? BigInt : pg.types.getTypeParser(oid, format as 'text'),
  };
  const client = new pg.Client({ connectionString: url, types: types as never });
  await client.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    return await read(
      async <Row extends object>(sql: string, values?: unknown[]) =>
        (await client.query<Row>(sql, values)).rows,
    );
  } finally {
    await client.end();
  }
}
