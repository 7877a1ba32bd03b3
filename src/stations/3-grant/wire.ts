import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type GrantAsk,
  GrantAskSchema,
  GrantBatchOutcomeSchema,
  GrantBatchSchema,
  GrantOutcomeSchema,
  type GrantOutcome as WireOutcome,
} from '../../protocol/gen/hongbao/v1/grant_pb.ts';
import { fenToJson } from '../../vocabulary/fen.ts';
import type { RawAsk } from './ask.ts';
import type { GrantOutcome } from './outcome.ts';

/** proto/hongbao/v1/grant.proto. Reading gives undefined for bytes that are no such message. */
export const PROTOBUF_TYPES = ['application/x-protobuf', 'application/protobuf'] as const;

export function readAskBytes(bytes: Uint8Array): RawAsk | undefined {
  try {
    return rawOf(fromBinary(GrantAskSchema, bytes));
  } catch {
    return undefined;
  }
}

export function readBatchBytes(bytes: Uint8Array): readonly RawAsk[] | undefined {
  try {
    return fromBinary(GrantBatchSchema, bytes).grants.map(rawOf);
  } catch {
    return undefined;
  }
}

export const outcomeBytes = (outcome: GrantOutcome): Buffer =>
  Buffer.from(toBinary(GrantOutcomeSchema, wireOf(outcome)));

export const batchBytes = (outcomes: readonly GrantOutcome[]): Buffer =>
  Buffer.from(
    toBinary(GrantBatchOutcomeSchema, create(GrantBatchOutcomeSchema, { outcomes: outcomes.map(wireOf) })),
  );

/** A field that was left out is undefined, as in JSON; a number beyond 2^53 becomes NaN-like and is refused later. */
const rawOf = (ask: GrantAsk): RawAsk => ({
  campaignId: ask.campaignId,
  sceneId: ask.sceneId,
  rainId: ask.rainId,
  app: ask.app,
  user: ask.user,
  ...(ask.amountFen === undefined ? {} : { amountFen: Number(ask.amountFen) }),
  ...(ask.drawnAtMs === undefined ? {} : { drawnAtMs: Number(ask.drawnAtMs) }),
});

function wireOf(outcome: GrantOutcome): WireOutcome {
  switch (outcome.outcome) {
    case 'refused':
      return create(GrantOutcomeSchema, { outcome: { case: 'refused', value: { ...plain(outcome) } } });
    case 'unknown':
      return create(GrantOutcomeSchema, {
        outcome: {
          case: 'unknown',
          value: { ...plain(outcome), retryAfterMs: Math.ceil(outcome.retryAfterMs) },
        },
      });
    default:
      return create(GrantOutcomeSchema, {
        outcome: {
          case: 'granted',
          value: {
            ...plain(outcome),
            drawnAtMs: BigInt(outcome.drawnAtMs),
            replayed: outcome.outcome === 'replayed',
          },
        },
      });
  }
}

/** All but the name of the case. */
function plain<Outcome extends GrantOutcome>({ outcome: _, ...rest }: Outcome): Omit<Outcome, 'outcome'> {
  return rest;
}

/** The same in JSON. A granted one is as it was before there were pieces, and more. */
export function outcomeJson(outcome: GrantOutcome): object {
  if (outcome.outcome === 'refused' || outcome.outcome === 'unknown') return outcome;
  return {
    ...outcome,
    amountFen: fenToJson(outcome.amountFen),
    worthFen: fenToJson(outcome.worthFen),
    replayed: outcome.outcome === 'replayed',
  };
}
