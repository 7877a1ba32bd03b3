import { randomBytes } from 'node:crypto';
import { ERROR_KINDS, type ErrorKind } from './error-kinds.ts';
import { isRefusal, RetryableFault } from './failures.ts';

/** RFC 9457 problem details, with the members that our clients read. Sent as application/problem+json. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** An ErrorKind: stable, for programs. */
  readonly code: ErrorKind;
  readonly titleZh: string;
  readonly retryable: boolean;
  /** Finds the request in the logs. */
  readonly traceId: string;
}

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

export function problem(code: ErrorKind, detail: string, traceId = newTraceId()): Problem {
  const spec = ERROR_KINDS[code];
  return {
    type: `urn:hongbao:problem:${code}`,
    title: spec.en,
    status: spec.httpStatus,
    detail,
    code,
    titleZh: spec.zh,
    retryable: spec.retryable,
    traceId,
  };
}

/** What a caller may learn of a failure: refusals and faults in full, anything unforeseen only as `internal`. */
export function problemOf(failure: unknown, traceId = newTraceId()): Problem {
  if (isRefusal(failure)) return problem(failure.refused, failure.detail, traceId);
  if (failure instanceof RetryableFault) return problem(failure.kind, failure.message, traceId);
  return problem('internal', 'The log has the details under this trace id', traceId);
}

/** 16 random bytes in hex, as in W3C Trace Context. */
const newTraceId = (): string => randomBytes(16).toString('hex');
