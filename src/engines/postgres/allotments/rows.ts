import type { Amount } from '../../../rules/share.ts';
import type { Fen } from '../../../vocabulary/fen.ts';
import type { PhaseKey, RainId, SceneId, SliceId } from '../../../vocabulary/ids.ts';
import { instantMs } from '../../../vocabulary/instant.ts';
import type { BudgetLine, Slice } from '../../ports.ts';

/** The rain_id of what belongs to no round: a scene's total, a level. */
export const TOTAL = 0;

/** A line as it is locked. */
export interface LineRow {
  readonly scene_id: SceneId;
  readonly rain_id: number;
  readonly rule: 'split' | 'fixed' | 'given' | 'piece' | 'level';
  readonly levels: readonly string[];
  readonly packet_cap_fen: bigint;
  readonly remaining_packets: bigint;
  readonly remaining_fen: bigint;
  readonly leased_packets: bigint;
  readonly leased_fen: bigint;
}

/** A line as it is told. */
export interface CountRow {
  readonly scene_id: SceneId;
  readonly rain_id: number;
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
  readonly epoch: number;
  readonly phase_key: PhaseKey;
  readonly scene_id: SceneId;
  readonly rain_id: number;
  readonly holder: string;
  readonly state: 'open' | 'fenced' | 'closed';
  readonly tail_is_back: boolean;
  readonly amounts_fen: bigint[] | string[] | null;
  readonly packets: bigint;
  readonly fen: bigint;
  readonly deal_until_ms: bigint;
  readonly grant_until_ms: bigint;
}

export const SLICE_COLUMNS =
  'slice_id, epoch, phase_key, scene_id, rain_id, holder, state, tail_is_back, amounts_fen, packets, fen, deal_until_ms, grant_until_ms';

export const sliceOf = (row: Omit<SliceRow, 'holder' | 'state' | 'tail_is_back'>): Slice => ({
  sliceId: row.slice_id as SliceId,
  epoch: row.epoch,
  phaseKey: row.phase_key,
  sceneId: row.scene_id,
  rainId: roundOf(row),
  packetsFen: row.amounts_fen?.map((amount) => BigInt(amount) as Fen),
  packets: Number(row.packets),
  fen: row.fen as Fen,
  dealUntilMs: instantMs(Number(row.deal_until_ms)),
  grantUntilMs: instantMs(Number(row.grant_until_ms)),
});

export const roundOf = (row: { readonly rain_id: number }): RainId | undefined =>
  row.rain_id === TOTAL ? undefined : (row.rain_id as RainId);

export const countsOf = (row: CountRow): Pick<BudgetLine, 'total' | 'remaining' | 'leased' | 'given'> => ({
  total: { packets: Number(row.total_packets), fen: row.total_fen as Fen },
  remaining: { packets: Number(row.remaining_packets), fen: row.remaining_fen as Fen },
  leased: { packets: Number(row.leased_packets), fen: row.leased_fen as Fen },
  given: { packets: Number(row.given_packets), fen: row.given_fen as Fen },
});

export const NONE: Amount = { packets: 0n, fen: 0n };
export const negative = (amount: Amount): Amount => ({ packets: -amount.packets, fen: -amount.fen });
