import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ERROR_KINDS, type ErrorKind } from '../src/protocol/error-kinds.ts';
import {
  GrantAskSchema,
  GrantBatchOutcomeSchema,
  GrantBatchSchema,
  GrantOutcomeSchema,
  type GrantOutcome as WireOutcome,
} from '../src/protocol/gen/hongbao/v1/grant_pb.ts';
import type { AwardType } from '../src/vocabulary/award-type.ts';

export type Encoding = 'protobuf' | 'json';

/** Who gets what. All of it is the ask's identity: keep it with the draw, and ask with the very same again. */
export interface GrantAsk {
  readonly campaignId: string;
  readonly sceneId: string;
  /** The round, from 1. */
  readonly rainId: number;
  /** The app's name in the campaign. */
  readonly app: string;
  readonly user: string;
  /** In fen; for scenes whose amounts callers name, and only for these. */
  readonly amountFen?: number;
  /** When it was drawn, ms since 1970 UTC. Chooses the phase: a retry that comes after its end is still of it. */
  readonly drawnAtMs: number;
}

export type GrantResult =
  | {
      /** `replayed`: it was granted before, and this is the first answer again. */
      readonly outcome: 'granted' | 'replayed';
      readonly orderNumber: string;
      /** The scene that gave it: another than the asked one when it is the consolation. */
      readonly sceneId: string;
      readonly awardType: AwardType;
      /** Money in the wallet, in fen; 0 for a piece. */
      readonly amountFen: number;
      /** In fen: the amount, or what the piece is worth. */
      readonly worthFen: number;
      readonly drawnAtMs: number;
      /** Nothing was left of what was asked for. */
      readonly consolation: boolean;
      /** Under 10 % are left of what was asked for. */
      readonly low: boolean;
    }
  /** A "no" that moved nothing. */
  | {
      readonly outcome: 'refused';
      readonly code: ErrorKind;
      readonly detail: string;
      readonly retryable: boolean;
    }
  /** It may or may not have been granted: never take it for "no". The same ask again, later, settles it. */
  | {
      readonly outcome: 'unknown';
      readonly code: ErrorKind | 'unreachable';
      readonly detail: string;
      readonly retryAfterMs: number;
      /** Asking again at once would tell nothing new. */
      readonly isFinal?: boolean;
    };

export type BatchAnswer =
  | { readonly outcomes: readonly GrantResult[] }
  /** `wasSent`: it may have been done all the same. */
  | { readonly unreachable: string; readonly wasSent: boolean };

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

export function requestOf(
  asks: readonly GrantAsk[],
  encoding: Encoding,
): { readonly path: string; readonly type: string; readonly body: string | Uint8Array<ArrayBuffer> } {
  const [only] = asks.length === 1 ? asks : [];
  const path = only ? '/v1/grants' : '/v1/grants/batch';
  if (encoding === 'json') return { path, type: JSON_TYPE, body: JSON.stringify(only ?? { grants: asks }) };
  const bytes = only
    ? toBinary(GrantAskSchema, wireOf(only))
    : toBinary(GrantBatchSchema, create(GrantBatchSchema, { grants: asks.map(wireOf) }));
  return { path, type: PROTOBUF, body: new Uint8Array(bytes) };
}

function wireOf({ amountFen, drawnAtMs, ...rest }: GrantAsk) {
  return create(GrantAskSchema, {
    ...rest,
    drawnAtMs: BigInt(drawnAtMs),
    ...(amountFen === undefined ? {} : { amountFen: BigInt(amountFen) }),
  });
}

/** What an answer says of each of so many asks. What can't be understood is no "no". */
export function readAnswer(asks: number, response: Response, bytes: Uint8Array): BatchAnswer {
  const type = response.headers.get('content-type') ?? '';
  try {
    if (type.startsWith('application/problem+json')) return all(asks, problemOf(textOf(bytes), response));
    const outcomes = type.startsWith(PROTOBUF) ? fromProtobuf(asks, bytes) : fromJson(asks, textOf(bytes));
    if (outcomes.length === asks) return { outcomes };
  } catch {
    // Said below.
  }
  return all(asks, {
    outcome: 'unknown',
    code: 'unreachable',
    detail: `an answer that can’t be read, status ${response.status}`,
    retryAfterMs: 0,
  });
}

const all = (asks: number, result: GrantResult): BatchAnswer => ({
  outcomes: Array.from({ length: asks }, () => result),
});

const textOf = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

const fromProtobuf = (asks: number, bytes: Uint8Array): GrantResult[] =>
  (asks === 1
    ? [fromBinary(GrantOutcomeSchema, bytes)]
    : fromBinary(GrantBatchOutcomeSchema, bytes).outcomes
  ).map(resultOf);

function fromJson(asks: number, body: unknown): GrantResult[] {
  const outcomes = asks === 1 ? [body] : (body as { readonly outcomes: unknown[] }).outcomes;
  return outcomes.map((one) => {
    const result = one as GrantResult & { readonly replayed?: boolean };
    if (result.outcome !== 'granted' && result.outcome !== 'replayed') return known(result);
    const { replayed: _, ...rest } = result;
    return rest;
  });
}

function resultOf({ outcome }: WireOutcome): GrantResult {
  switch (outcome.case) {
    case 'granted': {
      const { $typeName: _, replayed, amountFen, worthFen, drawnAtMs, awardType, ...rest } = outcome.value;
      return {
        outcome: replayed ? 'replayed' : 'granted',
        ...rest,
        awardType: awardType as AwardType,
        amountFen: Number(amountFen),
        worthFen: Number(worthFen),
        drawnAtMs: Number(drawnAtMs),
      };
    }
    case 'refused':
    case 'unknown': {
      const { $typeName: _, ...rest } = outcome.value;
      return known({ outcome: outcome.case, ...rest } as GrantResult);
    }
    default:
      throw new Error('an outcome that this version does not know');
  }
}

/** An outcome of a server that is newer than this client is not understood, and so unknown. */
function known(result: GrantResult): GrantResult {
  if ('code' in result && (result.outcome === 'refused' || result.outcome === 'unknown')) return result;
  throw new Error('an outcome that this version does not know');
}

/** The route's own "no", of all asks together: overload and faults are told from what will never be taken. */
function problemOf(body: unknown, { headers }: Response): GrantResult {
  const { code, detail, status } = body as { code: ErrorKind; detail: string; status: number };
  const retryAfterMs = 1_000 * (Number(headers.get('retry-after')) || 0);
  if (status >= 500) return { outcome: 'unknown', code, detail, retryAfterMs };
  return { outcome: 'refused', code, detail, retryable: ERROR_KINDS[code]?.retryable ?? false };
}
