import type { FulfilAsk } from '../ports.ts';

/** What may stand between braces in a request's path, headers and body. */
export const PLACEHOLDERS = {
  orderNumber: 'the order number: letters, digits, hyphens and underscores, at most 128',
  phaseKey: 'the phase’s number (a number as worthFen is); with the order number unique over all campaigns',
  item: 'the downstream’s own name of the piece, from the scene',
  actId: 'the person’s number',
  worthFen: 'what it is worth, in fen; a number where it is a JSON value of its own',
  worthYuan: 'the same in yuan, as 12.50',
} as const;

export type Filling = Readonly<Record<string, string>>;

const PLACEHOLDER = /\{([A-Za-z]+)\}/g;

export const placeholdersIn = (text: string): string[] =>
  [...text.matchAll(PLACEHOLDER)].map((match) => match[1]!);

export const fillingOf = (ask: FulfilAsk): Filling => ({
  orderNumber: ask.orderNumber,
  phaseKey: String(ask.phaseKey),
  item: ask.item,
  actId: String(ask.actId),
  worthFen: String(ask.worthFen),
  worthYuan: `${ask.worthFen / 100n}.${String(ask.worthFen % 100n).padStart(2, '0')}`,
});

/** The text with its placeholders filled in, each escaped for the place where it stands. */
export const fill = (text: string, filling: Filling, escaped: (value: string) => string): string =>
  text.replace(PLACEHOLDER, (whole, name: string) => {
    const value = filling[name];
    return value === undefined ? whole : escaped(value);
  });

/**
 * A path, and its query: every value as one component. Undefined when a value would make a segment `.` or `..`, which
 * any URL parser takes for another path.
 */
export function fillPath(path: string, filling: Filling): string | undefined {
  const filled = fill(path, filling, encodeURIComponent);
  const segments = filled.split('?')[0]!.split('/');
  return segments.some((segment) => segment === '.' || segment === '..') ? undefined : filled;
}

/** A header's value is visible ASCII; anything else of a filling, line breaks above all, is percent-encoded. */
export const fillHeader = (value: string, filling: Filling): string =>
  fill(value, filling, (one) => one.replace(/[^\x21-\x7e]+/gu, encodeURIComponent));

/** A JSON value: texts are filled in, names are not. A text that is nothing but a number's placeholder becomes one. */
export function fillJson(value: unknown, filling: Filling): unknown {
  if (value === '{worthFen}') return Number(filling.worthFen);
  if (value === '{phaseKey}') return Number(filling.phaseKey);
  if (typeof value === 'string') return fill(value, filling, (one) => one);
  if (Array.isArray(value)) return value.map((one) => fillJson(one, filling));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fillJson(one, filling)]));
}
