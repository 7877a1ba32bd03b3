import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import { asciiArray, int4Array, int8Array } from './binary-arrays.ts';

const same = <Value>(value: Value): Value => value;

describe('arrays in binary form', () => {
  let server: TestPostgres;
  let client: pg.Client;
  beforeAll(async () => {
    server = await startTestPostgres();
    client = new pg.Client({ connectionString: await server.createDatabase() });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  const read = async (array: Buffer, type: string): Promise<unknown> =>
    (await client.query(`SELECT $1::${type}[]::text[] AS read`, [array])).rows[0].read;

  it('arrive as they were sent, the largest, the smallest and none at all', async () => {
    const bigs = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 4_294_967_296n];
    expect(await read(int8Array(bigs, same), 'bigint')).toEqual(bigs.map(String));
    const ints = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)];
    expect(await read(int4Array(ints, same), 'int4')).toEqual(ints.map(String));
    const texts = ['', '1_cash_1_cash_live', '"quoted", {braced} \\ and null', 'x'.repeat(300)];
    expect(await read(asciiArray(texts, same), 'text')).toEqual(texts);
    expect(await read(int8Array([], same), 'bigint')).toEqual([]);
    expect(await read(asciiArray([], same), 'text')).toEqual([]);
  });

  it('are refused rather than cut off', () => {
    for (const value of [2n ** 63n, -(2n ** 63n) - 1n, 2n ** 64n])
      expect(() => int8Array([value], same)).toThrow(RangeError);
    for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => int4Array([value], same)).toThrow(RangeError);
    for (const value of ['é', '红包', '\u{1F9E7}', 'a\u0080'])
      expect(() => asciiArray([value], same)).toThrow(RangeError);
  });
});
