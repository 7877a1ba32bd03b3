import type { Fen } from '../../../vocabulary/fen.ts';
import type { ActId, AppId, CampaignId, PhaseKey, RainId, SceneId } from '../../../vocabulary/ids.ts';
import { instantMs } from '../../../vocabulary/instant.ts';
import type { OrderNumber } from '../../../vocabulary/order-number.ts';
import type { ReissueJob, ReissueLineDue, ReissueOutcome, ReissueResult, ReissueState } from '../../ports.ts';

export const JOB_COLUMNS =
  'job_id, state, content_hash, lines, made_by, made_at_ms, approved_by, per_second, epoch';

export interface JobRow {
  readonly job_id: number;
  readonly state: ReissueState;
  readonly content_hash: Buffer;
  readonly lines: number;
  readonly made_by: string;
  readonly made_at_ms: bigint;
  readonly approved_by: string | null;
  readonly per_second: number;
  readonly epoch: number;
}

export const jobOf = (row: JobRow): ReissueJob => ({
  id: row.job_id,
  state: row.state,
  contentHash: row.content_hash.toString('hex'),
  lines: row.lines,
  madeBy: row.made_by,
  madeAtMs: instantMs(Number(row.made_at_ms)),
  ...(row.approved_by === null ? {} : { approvedBy: row.approved_by }),
  perSecond: row.per_second,
});

/** What a line of the list says. */
export interface AskedRow {
  readonly line: number;
  readonly campaign_id: CampaignId;
  readonly scene_id: SceneId;
  readonly rain_id: RainId;
  readonly app_id: AppId;
  readonly amount_fen: Fen | null;
  readonly drawn_at_ms: bigint;
}

export const askedOf = (row: AskedRow) => ({
  line: row.line,
  campaignId: row.campaign_id,
  sceneId: row.scene_id,
  rainId: row.rain_id,
  appId: row.app_id,
  amountFen: row.amount_fen ?? undefined,
  drawnAtMs: instantMs(Number(row.drawn_at_ms)),
});

export interface DueRow extends AskedRow {
  readonly act_id: ActId;
  readonly phase_key: PhaseKey;
  readonly order_number: OrderNumber;
  readonly asked_before: boolean;
  readonly given_before: boolean;
}

export const dueOf = (row: DueRow): ReissueLineDue => ({
  ...askedOf(row),
  actId: row.act_id,
  phaseKey: row.phase_key,
  orderNumber: row.order_number,
  askedBefore: row.asked_before,
  givenBefore: row.given_before,
});

export interface ResultRow {
  readonly line: number;
  readonly outcome: ReissueOutcome | null;
  readonly act_id: ActId | null;
  readonly order_number: OrderNumber | null;
  readonly amount_fen: Fen | null;
  readonly reason: string | null;
}

export const resultOf = (row: ResultRow): ReissueResult => ({
  line: row.line,
  outcome: row.outcome ?? undefined,
  actId: row.act_id ?? undefined,
  orderNumber: row.order_number ?? undefined,
  amountFen: row.amount_fen ?? undefined,
  reason: row.reason ?? undefined,
});
