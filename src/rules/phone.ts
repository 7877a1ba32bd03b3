import type { Brand } from '../vocabulary/brand.ts';

/** A phone number in E.164: plus sign, country code, subscriber, 7 to 15 digits. Never logged, never stored as it is. */
export type PhoneNumber = Brand<string, 'PhoneNumber'>;

const LENGTH_MAX = 40;
/** How people and address books write numbers; a zero in parentheses is for callers at home and means nothing here. */
const PUNCTUATION = /[ \-.()/\u00a0\u2010\u2011]/g;
const E164 = /^\+[1-9][0-9]{6,14}$/;

/**
 * The number as E.164, so that every way to write it is one key: "+86 138-0013-8000" is +8613800138000. Undefined for
 * whatever has no country code: a number without one is another person's in the next country.
 */
export function parsePhone(text: unknown): PhoneNumber | undefined {
  if (typeof text !== 'string' || text.length > LENGTH_MAX || /\(0\)/.test(text)) return undefined;
  const bare = text.replace(PUNCTUATION, '');
  return E164.test(bare) ? (bare as PhoneNumber) : undefined;
}
