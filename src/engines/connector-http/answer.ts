import { parseJson } from '../http/exchange.ts';
import type { FulfilAnswer } from '../ports.ts';
import type { AnswerRuleDraft } from './schema.ts';

/** What stands at a JSON pointer (RFC 6901); undefined for nothing. */
function atPointer(value: unknown, pointer: string): unknown {
  let at = value;
  for (const part of pointer.split('/').slice(1)) {
    if (typeof at !== 'object' || at === null) return undefined;
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    at = Object.hasOwn(at, name) ? (at as Record<string, unknown>)[name] : undefined;
  }
  return at;
}

/** A status as rules write it: 200, "200" or "4xx"; undefined for anything else. */
export function parseStatus(text: unknown): ((status: number) => boolean) | undefined {
  const wanted = String(text);
  if (/^[1-5][0-9]{2}$/.test(wanted)) return (status) => status === Number(wanted);
  if (/^[1-5]xx$/.test(wanted)) return (status) => Math.floor(status / 100) === Number(wanted[0]);
  return undefined;
}

const REASON_MAX = 500;
const VOUCHER_MAX = 2_000;
/** A NUL, which no database takes as text, and half characters. */
const UNWRITABLE = /[\0\p{Surrogate}]/gu;

/** Why, in their words, as far as they can be written down; undefined for nothing of the kind. */
function reasonAt(json: unknown, pointer: string | undefined): string | undefined {
  const found = pointer === undefined ? undefined : atPointer(json, pointer);
  if (typeof found !== 'string' && typeof found !== 'number') return undefined;
  const text = String(found).slice(0, REASON_MAX).replace(UNWRITABLE, '\ufffd');
  return text === '' ? undefined : text;
}

/** A voucher as it was said; undefined for none, and for one that could only be kept cut, rounded or altered. */
function voucherAt(json: unknown, pointer: string): string | undefined {
  const found = atPointer(json, pointer);
  if (typeof found === 'number') return Number.isSafeInteger(found) ? String(found) : undefined;
  if (typeof found !== 'string' || found === '' || found.length > VOUCHER_MAX) return undefined;
  return found.search(UNWRITABLE) === -1 ? found : undefined;
}

interface Got {
  readonly status: number;
  readonly text: string;
  readonly asked: 'give' | 'query';
}

/**
 * What an answer means by the rules, in their order. What no rule fits is unknown, and so is what is said to be
 * fulfilled without the voucher that it should carry, or what is about something else.
 */
export function meaningOf(
  rules: readonly AnswerRuleDraft[],
  echo: { readonly at: string; readonly is: string } | undefined,
  { status, text, asked }: Got,
): FulfilAnswer {
  const json = parseJson(text);
  const unknown = (why: string): FulfilAnswer => ({
    answer: 'unknown',
    reason: `status ${status}: ${why}`,
    isThere: status < 500,
  });
  const rule = rules.find(
    (one) =>
      (one.to === undefined || one.to === asked) &&
      (one.status === undefined || parseStatus(one.status)?.(status) === true) &&
      Object.entries(one.json ?? {}).every(([pointer, value]) => atPointer(json, pointer) === value),
  );
  if (!rule) return unknown('no rule fits');
  if (echo && !isAbout(json, echo, rule.means)) return unknown('it is about something else');
  const reason = reasonAt(json, rule.reason) ?? `status ${status}, no reason given`;
  switch (rule.means) {
    case 'fulfilled': {
      if (rule.voucher === undefined) return { answer: 'fulfilled' };
      const voucher = voucherAt(json, rule.voucher);
      return voucher === undefined
        ? unknown('fulfilled, and the voucher is missing, or none that can be kept')
        : { answer: 'fulfilled', voucher };
    }
    case 'rejected':
    case 'failed':
      return { answer: rule.means, reason };
    case 'processing':
    case 'unheard-of':
      return { answer: rule.means };
    case 'unknown':
      return unknown(reason);
  }
}

/** Another order's answer settles nothing; that something was handed out must be said of this very order. */
function isAbout(json: unknown, echo: { at: string; is: string }, means: AnswerRuleDraft['means']): boolean {
  const said = atPointer(json, echo.at);
  return said === undefined ? means !== 'fulfilled' : said === echo.is;
}
