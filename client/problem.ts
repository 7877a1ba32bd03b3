import { ERROR_KINDS, type ErrorKind, errorKindOfWireCode } from '../src/protocol/error-kinds.ts';

/** What only this side can say, beside the server's own kinds. */
export type LocalProblem =
  /** There is no connection, or it was lost before the answer came. */
  | 'unreachable'
  /** Asked, and no answer came in time: it may or may not have been done. */
  | 'time-out'
  /** The client was closed. */
  | 'closed'
  /** The app's backend gave no session. */
  | 'session-unavailable'
  /** The session is of another person than this client's: make a new client. */
  | 'person-changed'
  /** An answer that this client cannot read. */
  | 'unknown';

/** Why something was not done, in both languages where the server said it. */
export class HongbaoProblem extends Error {
  override readonly name = 'HongbaoProblem';
  constructor(
    readonly code: ErrorKind | LocalProblem,
    detail: string,
    /** Whether the same request may succeed later. */
    readonly retryable: boolean,
    readonly title?: { readonly en: string; readonly zh: string },
  ) {
    super(detail);
  }
}

const isKind = (code: unknown): code is ErrorKind =>
  typeof code === 'string' && Object.hasOwn(ERROR_KINDS, code);

const problemOfKind = (kind: ErrorKind | undefined, detail: string, retryable: boolean): HongbaoProblem =>
  new HongbaoProblem(
    kind ?? 'unknown',
    detail,
    retryable,
    kind && { en: ERROR_KINDS[kind].en, zh: ERROR_KINDS[kind].zh },
  );

/** A Problem frame. */
export const problemOfFrame = (frame: { code: number; detail: string; retryable: boolean }): HongbaoProblem =>
  problemOfKind(errorKindOfWireCode(frame.code), frame.detail, frame.retryable);

/** A problem+json body; anything else under such a status is judged by the status alone. */
export function problemOfResponse(status: number, body: unknown): HongbaoProblem {
  const said = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  return problemOfKind(
    isKind(said.code) ? said.code : undefined,
    typeof said.detail === 'string' ? said.detail : `status ${status}`,
    typeof said.retryable === 'boolean' ? said.retryable : status >= 500 || status === 429 || status === 408,
  );
}
