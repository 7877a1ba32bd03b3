import type { AwardType } from './award-type.ts';
import { parseAwardType } from './award-type.ts';
import type { Brand } from './brand.ts';
import type { ActId, PhaseId, RainId, SceneId } from './ids.ts';
import { parseActId, parsePhaseId, parseRainId, parseSceneId } from './ids.ts';

/**
 * `${actId}_${sceneId}_${rainId}_${awardType}_${stage}` (seed 2022, 3.2): one person, one scene, one round, one
 * award, once in a phase. It is the primary key of the money's way, and so the truth about "once".
 */
export type OrderNumber = Brand<string, 'OrderNumber'>;

export interface OrderNumberParts {
  readonly actId: ActId;
  readonly sceneId: SceneId;
  readonly rainId: RainId;
  readonly awardType: AwardType;
  readonly stage: PhaseId;
}

/** Longest possible: 19 + 32 + 10 + 18 + 32 digits and letters, four underscores; rounded up for new award types. */
export const ORDER_NUMBER_LENGTH_MAX = 128;

export const formatOrderNumber = (parts: OrderNumberParts): OrderNumber =>
  `${parts.actId}_${parts.sceneId}_${parts.rainId}_${parts.awardType}_${parts.stage}` as OrderNumber;

/** The parts of an order number; undefined unless formatting them again gives exactly `text`. */
export function parseOrderNumber(text: unknown): OrderNumberParts | undefined {
  if (typeof text !== 'string' || text.length > ORDER_NUMBER_LENGTH_MAX) return undefined;
  const pieces = text.split('_');
  if (pieces.length !== 5) return undefined;
  const actId = parseActId(pieces[0]);
  const sceneId = parseSceneId(pieces[1]);
  const rainId = /^[1-9][0-9]{0,9}$/.test(pieces[2]!) ? parseRainId(Number(pieces[2])) : undefined;
  const awardType = parseAwardType(pieces[3]);
  const stage = parsePhaseId(pieces[4]);
  if (!actId || !sceneId || !rainId || !awardType || !stage) return undefined;
  return { actId, sceneId, rainId, awardType, stage };
}
