import pg from 'pg';

export interface Posting {
  readonly actId: bigint;
  readonly phaseKey: number;
  readonly purse: number;
  readonly ref: string;
  readonly amountFen: bigint;
  readonly atMs: bigint;
  readonly sliceId: bigint | null;
  readonly sliceEpoch: number | null;
  readonly sliceIndex: number | null;
}
export interface Account {
  readonly actId: bigint;
  readonly phaseKey: number;
  readonly purse: number;
  readonly balanceFen: bigint;
  readonly incomeFen: bigint;
}
export interface WithdrawalRow {
  readonly actId: bigint;
  readonly phaseKey: number;
  readonly id: string;
  readonly amountFen: bigint;
  readonly state: string;
  readonly key: string;
}
export interface LineRow {
  readonly phaseKey: number;
  readonly sceneId: string;
  readonly rainId: number;
  readonly capFen: bigint;
  readonly totalPackets: bigint;
  readonly totalFen: bigint;
  readonly remainingPackets: bigint;
  readonly remainingFen: bigint;
  readonly leasedPackets: bigint;
  readonly leasedFen: bigint;
  readonly givenPackets: bigint;
  readonly givenFen: bigint;
}
export interface SliceRow {
  readonly sliceId: bigint;
  readonly epoch: number;
  readonly phaseKey: number;
  readonly sceneId: string;
  readonly rainId: number;
  readonly state: string;
  readonly amountsFen: readonly string[] | null;
  readonly packets: bigint;
  readonly fen: bigint;
  readonly givenPackets: bigint | null;
  readonly givenFen: bigint | null;
}
export interface Database {
  readonly postings: readonly Posting[];
  readonly accounts: readonly Account[];
  readonly withdrawals: readonly WithdrawalRow[];
  readonly lines: readonly LineRow[];
  readonly slices: readonly SliceRow[];
  readonly phases: readonly { campaignId: string; phaseId: string; phaseKey: number }[];
  /** Every version that was applied, oldest first. */
  readonly campaignSources: readonly string[];
}

const BIGINT_OID = 20;

/** All of the ledger, the budgets and the campaigns, as of one moment. */
export async function readDatabase(url: string): Promise<Database> {
  const client = new pg.Client({ connectionString: url, application_name: 'hongbao-audit' });
  client.setTypeParser(BIGINT_OID, BigInt);
  await client.connect();
  const all = async <Row>(sql: string): Promise<Row[]> => (await client.query(sql)).rows as Row[];
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const sources = await all<{ source: string }>(
      'SELECT source FROM control.campaign ORDER BY campaign_id, version',
    );
    return {
      postings:
        await all(`SELECT act_id AS "actId", phase_key AS "phaseKey", purse, ref, amount_fen AS "amountFen",
        at_ms AS "atMs", slice_id AS "sliceId", slice_epoch AS "sliceEpoch", slice_index AS "sliceIndex" FROM ledger.posting`),
      accounts:
        await all(`SELECT act_id AS "actId", phase_key AS "phaseKey", purse, balance_fen AS "balanceFen",
        income_fen AS "incomeFen" FROM ledger.account`),
      withdrawals:
        await all(`SELECT act_id AS "actId", phase_key AS "phaseKey", id, amount_fen AS "amountFen", state,
        idempotency_key AS key FROM ledger.withdrawal`),
      lines:
        await all(`SELECT phase_key AS "phaseKey", scene_id AS "sceneId", rain_id AS "rainId", packet_cap_fen AS "capFen",
        total_packets AS "totalPackets", total_fen AS "totalFen", remaining_packets AS "remainingPackets",
        remaining_fen AS "remainingFen", leased_packets AS "leasedPackets", leased_fen AS "leasedFen",
        given_packets AS "givenPackets", given_fen AS "givenFen" FROM allotment.line`),
      slices:
        await all(`SELECT slice_id AS "sliceId", epoch, phase_key AS "phaseKey", scene_id AS "sceneId", rain_id AS "rainId",
        state, amounts_fen::text[] AS "amountsFen", packets, fen, given_packets AS "givenPackets", given_fen AS "givenFen"
        FROM allotment.slice`),
      phases: await all(
        'SELECT campaign_id AS "campaignId", phase_id AS "phaseId", phase_key AS "phaseKey" FROM control.phase',
      ),
      campaignSources: sources.map(({ source }) => source),
    };
  } finally {
    await client.end();
  }
}
