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
export interface WithdrawalRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly id: string;
  readonly amount_fen: bigint;
  readonly state: string;
}
export interface AwardRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly ref: string;
  readonly state: string;
  /** What the downstream gave; null before that, and where it gives none. */
  readonly voucher: string | null;
}
export interface LineRow {
  readonly phase_key: number;
  readonly scene_id: string;
  readonly rain_id: number;
  readonly rule: string;
  /** Of a scene's total: the paths of the levels that it counts for. */
  readonly levels: readonly string[];
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
export interface LedgerRows {
  readonly postings: readonly Posting[];
  readonly withdrawals: readonly WithdrawalRow[];
  readonly awards: readonly AwardRow[];
}
export interface Books extends LedgerRows {
  readonly lines: readonly LineRow[];
  readonly slices: readonly SliceRow[];
}

/** What only ever grows, so that it may be read later than the rest. */
export interface Catalog {
  /** The campaigns as applied, newest version first. */
  readonly campaigns: readonly { campaign_id: string; source: string }[];
  readonly phases: readonly { campaign_id: string; phase_id: string; phase_key: number }[];
  /** Ids that were joined to a person's, and when. */
  readonly aliases: readonly { act_id: bigint; root_act_id: bigint; joined_at: Date }[];
  /** The slices that were asked for. */
  readonly slices: readonly SliceRow[];
}

const INT8 = 20;

const SLICE_COLUMNS =
  'slice_id, phase_key, scene_id, rain_id, state, amounts_fen, packets, fen, given_packets, given_fen, grant_until_ms';

export type Rows = <Row extends object>(sql: string, values?: unknown[]) => Promise<Row[]>;

/** Everything one database holds, of one moment. */
export const readBooks = (url: string): Promise<Books> =>
  reading(url, async (rows) => ({ ...(await ledgerRows(rows)), ...(await budgetRows(rows)) }));

/** The budgets alone: where the ledger lies in databases of its own. */
export const readBudgets = (url: string): Promise<Pick<Books, 'lines' | 'slices'>> =>
  reading(url, budgetRows);

export const ledgerRows = async (rows: Rows): Promise<LedgerRows> => ({
  postings: await rows(
    'SELECT act_id, phase_key, purse, ref, amount_fen, at_ms, slice_id, slice_epoch, slice_index FROM ledger.posting',
  ),
  withdrawals: await rows(
    'SELECT act_id, phase_key, id::text AS id, amount_fen, state FROM ledger.withdrawal',
  ),
  awards: await rows('SELECT act_id, phase_key, ref, state, voucher FROM ledger.award'),
});

const budgetRows = async (rows: Rows): Promise<Pick<Books, 'lines' | 'slices'>> => ({
  lines: await rows(
    'SELECT phase_key, scene_id, rain_id, rule, levels, packet_cap_fen, total_packets, total_fen, remaining_packets, remaining_fen, leased_packets, leased_fen, given_packets, given_fen FROM allotment.line',
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
    aliases: await rows('SELECT act_id, root_act_id, joined_at FROM control.alias'),
    slices: await rows(`SELECT ${SLICE_COLUMNS} FROM allotment.slice WHERE slice_id = ANY($1)`, [
      sliceIds.map(String),
    ]),
  }));

/** A read-only transaction at repeatable read: what is read in it is of one moment. */
export async function reading<Read>(url: string, read: (rows: Rows) => Promise<Read>): Promise<Read> {
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
