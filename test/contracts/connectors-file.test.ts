import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readConnectors } from '../../src/engines/connector-http/read.ts';
import { connectorsJsonSchema } from '../../src/engines/connector-http/schema.ts';
import { EXAMPLE, SECRETS } from '../support/connectors.ts';

describe('the connectors file', () => {
  it('has an example without mistakes, and a published schema that is up to date', () => {
    expect(readConnectors(EXAMPLE, SECRETS)).toHaveProperty('draft');
    expect(readFileSync('schema/connectors.schema.json', 'utf8')).toBe(connectorsJsonSchema());
  });

  /** The mistakes of the example with one thing changed: the line itself, path, and what is wrong. */
  const mistakes = (from: string, to: string, env: Record<string, string> = SECRETS): string[] => {
    expect(EXAMPLE).toContain(from);
    const read = readConnectors(EXAMPLE.replace(from, to), env);
    if (!('problems' in read)) return [];
    const lines = EXAMPLE.replace(from, to).split('\n');
    return read.problems.map(
      ({ line, path, message, expected }) => `${lines[line - 1]!.trim()} → ${path}: ${message} | ${expected}`,
    );
  };

  it.each<[string, string, string]>([
    [
      'name: cinema',
      'name: drinks-shop',
      '- name: drinks-shop → connectors[1].name: the connector "drinks-shop" is there twice',
    ],
    ['name: cinema', 'name: in-house', 'connectors[1].name: "in-house" is what needs no downstream'],
    ['url: https://open.cinema.example', 'url: ftp://x', 'connectors[1].url: "ftp://x" is no http(s) URL'],
    ['https://coupons', 'https://me:pw@coupons', 'connectors[0].url: it holds a secret'],
    ['.example/api', '.example/api?key=1', 'connectors[0].url: it has a query'],
    ['timeoutMs: 3000', 'timeoutMs: 3e3', ': the number is written as 3e3'],
    ['timeoutMs: 3000', 'timeoutMs: 60000', 'timeoutMs: 60000 → connectors[0].timeoutMs: 60000 is too large'],
    ['timeoutMs: 3000', 'timeoutMS: 3000', 'connectors[0].timeoutMS: there is no field "timeoutMS" here'],
    ['tokenEnv: DRINKS_TOKEN', 'tokenEnv: dr1nks-token', 'it is no environment variable’s name'],
    ['tokenEnv: DRINKS_TOKEN', 'tokenEnv: OTHER_TOKEN', 'the environment variable OTHER_TOKEN is not set'],
    ['kind: bearer, ', 'kind: basic, ', 'tokenEnv is not of basic'],
    ['kind: bearer, tokenEnv: DRINKS_TOKEN', 'kind: bearer', 'the field "tokenEnv" is missing'],
    ['{timestamp}\\n{method}', '{method}', 'it holds for ever'],
    [
      '{timestamp}\\n{method}',
      '{timestamp}\\n{methd}',
      'there is no placeholder {methd} | did you mean "method"?',
    ],
    ['template: "{item}"', 'template: "{itm}"', 'there is no placeholder {itm} | did you mean "item"?'],
    ['path: /v2/coupons\n', 'path: v2/coupons\n', '"v2/coupons" is no path'],
    ['idempotency-key:', 'authorization:', 'a secret stands in the file'],
    ['idempotency-key:', 'Host:', 'the header "Host" can’t be set'],
    ['idempotency-key:', '"a b":', 'the header "a b" can’t be set'],
    ['by-request/{phaseKey}-{orderNumber}', 'by-request', 'the order number is nowhere in it'],
    [
      'status: 2xx, json: { /state: issued }',
      'status: 20x, json: { /state: issued }',
      'it is no HTTP status',
    ],
    ['{ /state: queued }', '{ state: queued }', '"state" is no JSON pointer'],
    ['{ /state: queued }', '{ /state: [queued] }', 'it is compared with a list or mapping'],
    ['means: processing', 'means: proccessing', 'did you mean "processing"?'],
    ['means: processing }', 'means: processing, voucher: /x }', 'a voucher of what is processing'],
    ['voucher: /coupon/code', 'voucher: coupon.code', '"coupon.code" is no JSON pointer'],
    [
      'status: 503, json: { /error: nothing-done }',
      'status: 503',
      'a status of 5xx alone is taken for failed',
    ],
    [
      'status: 503, json: { /error: nothing-done }',
      'status: 5xx',
      'a status of 5xx alone is taken for failed',
    ],
    ['status: 409, json: { /error: sold-out }, ', '', 'any answer at all would be rejected'],
  ])('%s as %s is told: %s', (from, to, told) => {
    const found = mistakes(from, to);
    expect(
      found.some((mistake) => mistake.includes(told)),
      found.join('\n'),
    ).toBe(true);
  });

  it('names a secret that is not there, with its line, and never what is in one', () => {
    expect(mistakes('connectors:', 'connectors:', { DRINKS_TOKEN: 'dr1nks' })).toEqual([
      'secretEnv: CINEMA_SECRET → connectors[1].auth.secretEnv: the environment variable CINEMA_SECRET is not set | the secret in it',
    ]);
    const odd = mistakes('connectors:', 'connectors:', { ...SECRETS, DRINKS_TOKEN: 'a\nb' });
    expect(odd.join()).toContain('DRINKS_TOKEN has characters that no header can have');
    expect(odd.join()).not.toContain('a\nb');
  });

  it.each([
    '',
    'connectors: []',
    'connectors: 1',
    'connectors: [1, null, {}]',
    '[]',
    '- a',
    'a: &x 1\nb: *x',
  ])('says what is wrong with %j, and never throws', (text) => {
    expect(readConnectors(text, {})).toHaveProperty('problems');
  });

  it('survives any part of it being something else', () => {
    const lines = EXAMPLE.split('\n');
    for (const [at, line] of lines.entries()) {
      for (const other of ['', `${line.split(':')[0]}: 7`, `${line.split(':')[0]}: [a]`, `${line} }`]) {
        const text = [...lines.slice(0, at), other, ...lines.slice(at + 1)].join('\n');
        expect(() => readConnectors(text, SECRETS)).not.toThrow();
      }
    }
  });
});
