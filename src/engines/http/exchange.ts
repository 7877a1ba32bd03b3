import { readBounded } from './read-bounded.ts';

const ANSWER_BYTES_MAX = 64 << 10;

/** What came back, or why nothing is known. */
export type Exchanged = { readonly status: number; readonly text: string } | { readonly unknown: string };

/**
 * One question to somebody else's HTTP service and its whole answer, of at most 64 KiB, within `timeoutMs`. Redirects
 * are refused: who else would be told? Never throws.
 */
export async function exchange(url: string, init: RequestInit, timeoutMs: number): Promise<Exchanged> {
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) });
    const text = await readBounded(response, ANSWER_BYTES_MAX);
    return text === undefined ? { unknown: 'the answer is too large' } : { status: response.status, text };
  } catch (error) {
    return { unknown: error instanceof Error ? error.name : 'no answer' };
  }
}

/** The base of addresses below an http: or https: URL, without a slash at its end. Throws for any other. */
export function httpBase(url: string, whose: string): string {
  const base = new URL(url);
  if (base.protocol !== 'http:' && base.protocol !== 'https:')
    throw new Error(`${whose} address starts with ${base.protocol}, not http: or https:`);
  return `${base.origin}${base.pathname.replace(/\/$/, '')}`;
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
