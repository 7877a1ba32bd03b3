/** A person's or a connection's right to ask: so many a second, so many at once. Plain data, changed in place. */
export interface RequestAllowance {
  left: number;
  atMs: number;
}

export const REQUESTS_PER_SECOND = 10;
export const REQUESTS_AT_ONCE = 40;

export const newAllowance = (nowMs: number): RequestAllowance => ({ left: REQUESTS_AT_ONCE, atMs: nowMs });

/** Whether one more request may pass now; takes it. */
export function mayAsk(allowance: RequestAllowance, nowMs: number): boolean {
  const elapsedMs = Math.max(0, nowMs - allowance.atMs);
  allowance.atMs = nowMs;
  allowance.left = Math.min(REQUESTS_AT_ONCE, allowance.left + (elapsedMs * REQUESTS_PER_SECOND) / 1_000);
  if (allowance.left < 1) return false;
  allowance.left -= 1;
  return true;
}
