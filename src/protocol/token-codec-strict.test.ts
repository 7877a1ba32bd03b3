import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import { AWARD_TYPES } from '../vocabulary/award-type.ts';
import {
  decodeSealedToken,
  decodeToken,
  encodeSealedToken,
  encodeToken,
  type SealedTokenFields,
} from './token-codec.ts';

type Field = readonly [number: number, bytes: Buffer];

const varint = (value: bigint): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
};
const number = (field: number, value: bigint): Field => [
  field,
  Buffer.concat([varint(BigInt(field * 8)), varint(value)]),
];
const text = (field: number, value: string): Field => {
  const bytes = Buffer.from(value);
  return [field, Buffer.concat([varint(BigInt(field * 8 + 2)), varint(BigInt(bytes.length)), bytes])];
};

const GOOD: readonly Field[] = [
  number(1, 1n),
  number(2, 42n),
  text(3, 'gala'),
  text(4, 'cash'),
  number(5, 100n),
  text(6, '42_cash_7_cash_live'),
  number(7, 1_800_000_000_000n),
  number(8, 7n),
  number(9, 1n),
  text(10, 'live'),
  number(11, 3n),
  number(12, 9n),
  number(13, 1n),
  number(14, 5n),
];
const join = (fields: readonly Field[]): Buffer => Buffer.concat(fields.map(([, bytes]) => bytes));
const withField = (...changed: Field[]): Buffer =>
  join(GOOD.map((field) => changed.find(([at]) => at === field[0]) ?? field));
const without = (field: number): Buffer => join(GOOD.filter(([at]) => at !== field));

describe('a token is read strictly', () => {
  it('takes the plain one', () => {
    expect(decodeToken(join(GOOD))).toMatchObject({ actId: 42n, orderNumber: '42_cash_7_cash_live' });
    expect(decodeToken(without(14))).toMatchObject({ unit: { index: 0 } });
  });

  const piece = (award: string, ...changed: readonly Field[]) =>
    join(
      GOOD.filter(([at]) => at !== 5 && at !== 6)
        .concat([text(6, `42_cash_7_${award}_live`), ...changed])
        .sort(([a], [b]) => a - b),
    );
  it.each(AWARD_TYPES.filter((award) => award !== 'cash'))('takes a %s that is worth nothing', (award) => {
    const order = decodeToken(piece(award));
    expect(order).toMatchObject({ awardType: award, amountFen: 0n });
    expect(encodeToken(order!)).toEqual(piece(award));
    expect(decodeToken(piece(award, number(5, 9n)))).toMatchObject({ awardType: award, amountFen: 9n });
  });

  const refused: Record<string, Buffer> = {
    'a packet of money without an amount': piece('cash'),
    'a piece whose worth is an explicit zero': piece('greeting', number(5, 0n)),
    'a piece of a negative worth': piece('greeting', number(5, -1n)),
    'a piece of no known kind': piece('card'),
    nothing: Buffer.alloc(0),
    'an unknown field': Buffer.concat([join(GOOD), number(15, 1n)[1]]),
    'field number zero': Buffer.concat([number(0, 1n)[1], join(GOOD)]),
    'a group': Buffer.concat([join(GOOD), Buffer.from([15 * 8 + 3, 15 * 8 + 4])]),
    'a fixed64': Buffer.concat([join(GOOD), Buffer.from([15 * 8 + 1]), Buffer.alloc(8, 1)]),
    'a repeated field': Buffer.concat([GOOD[0]![1], join(GOOD)]),
    'fields out of order': join([GOOD[1]!, GOOD[0]!, ...GOOD.slice(2)]),
    'text where a number belongs': withField([5, text(5, 'x')[1]]),
    'a number where text belongs': withField([4, number(4, 1n)[1]]),
    'an explicit zero': withField(number(14, 0n)),
    'an empty text': withField(text(10, '')),
    'a number that is not minimal': withField([1, Buffer.from([8, 0x81, 0x00])]),
    'eleven bytes of number': withField([1, Buffer.from([8, ...Buffer.alloc(10, 0x80), 1])]),
    'a negative amount': withField(number(5, -1n)),
    'no amount': without(5),
    'an amount of 2^53': withField(number(5, 2n ** 53n)),
    'an app of 2^31': withField(number(1, 2n ** 31n)),
    'a person of 2^63': withField(number(2, 2n ** 63n), text(6, '9223372036854775808_cash_7_cash_live')),
    'a round of 2^31': withField(number(8, 2n ** 31n), text(6, '42_cash_2147483648_cash_live')),
    'an index of 2^31': withField(number(14, 2n ** 31n)),
    'a time of 2^53': withField(number(7, 2n ** 53n)),
    'no time': without(7),
    'status 2': withField(number(9, 2n)),
    'status 8': withField(number(9, 8n)),
    'no slice': without(12),
    'no epoch': without(13),
    'no phase key': without(11),
    'a scene with an underscore': withField(text(4, 'ca_sh'), text(6, '42_ca_sh_7_cash_live')),
    'a scene of 33 letters': withField(text(4, 'c'.repeat(33)), text(6, `42_${'c'.repeat(33)}_7_cash_live`)),
    'a campaign that is not ASCII': withField(text(3, 'gälä')),
    'a NUL in a name': withField(text(3, 'ga\0la')),
    'an order number of another person': withField(text(6, '43_cash_7_cash_live')),
    'an order number of another scene': withField(text(6, '42_case_7_cash_live')),
    'an order number of another round': withField(text(6, '42_cash_8_cash_live')),
    'an order number of another award': withField(text(6, '42_cash_7_card_live')),
    'an order number of another phase': withField(text(6, '42_cash_7_cash_gray')),
    'an order number with a leading zero': withField(text(6, '042_cash_7_cash_live')),
    'an order number with more behind it': withField(text(6, '42_cash_7_cash_live_')),
    'an order number that stops early': withField(text(6, '42_cash_7_cash_liv')),
  };
  it.each(Object.entries(refused))('refuses %s', (_, bytes) => {
    expect(decodeToken(bytes)).toBeUndefined();
  });

  it('refuses each field missing, but for the index', () => {
    for (let field = 1; field <= 13; field += 1) expect(decodeToken(without(field))).toBeUndefined();
  });

  it('takes the largest of everything', () => {
    const order = anOrder({ person: 1 });
    const largest = {
      ...order,
      actId: (2n ** 63n - 1n) as typeof order.actId,
      orderNumber: `${2n ** 63n - 1n}_cash_1_cash_live` as typeof order.orderNumber,
      unit: { ...order.unit, index: 2 ** 31 - 1 },
    };
    expect(decodeToken(encodeToken(largest))).toEqual(largest);
  });
});

describe('a sealed token is read strictly', () => {
  const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const fields: fc.Arbitrary<SealedTokenFields> = fc.integer({ min: 1, max: 1_024 }).chain((treeSize) =>
    fc.record({
      keyId: fc.integer({ min: 1, max: 0xffff_ffff }),
      nonce: bytesOf(12),
      ciphertext: fc.uint8Array({ minLength: 17, maxLength: 300 }),
      leafIndex: fc.nat(treeSize - 1),
      treeSize: fc.constant(treeSize),
      path: fc.nat(10).chain((siblings) => bytesOf(32 * siblings)),
      signature: bytesOf(64),
    }),
  );

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fields, (one) => {
        const read = decodeSealedToken(encodeSealedToken(one));
        expect(read && encodeSealedToken(read).equals(encodeSealedToken(one))).toBe(true);
        expect([read?.keyId, read?.leafIndex, read?.treeSize]).toEqual([
          one.keyId,
          one.leafIndex,
          one.treeSize,
        ]);
      }),
      { numRuns: 500 },
    );
  });

  it('is taken only as it would be written: 100,000 altered ones', () => {
    const samples = fc.sample(fields, { numRuns: 50, seed: 1 }).map(encodeSealedToken);
    fc.assert(
      fc.property(fc.nat(49), fc.nat(1_023), fc.nat(255), fc.nat(3), (which, at, byte, how) => {
        const bytes = Buffer.from(samples[which]!);
        // Half of the hits go to the head and to the numbers in the middle.
        const place = (at & 1 ? at >> 4 : at) % bytes.length;
        const parts = [bytes.subarray(0, place), Buffer.from([byte]), bytes.subarray(place + 1)] as const;
        const altered =
          how === 0 ? parts[0] : how === 1 ? Buffer.concat([bytes, parts[1]]) : Buffer.concat([...parts]);
        const read = decodeSealedToken(altered);
        if (read) expect(encodeSealedToken(read).equals(altered)).toBe(true);
      }),
      { numRuns: 100_000 },
    );
  });

  it.each([
    ['version 2', Buffer.from([8, 2])],
    ['no version', Buffer.alloc(0)],
  ])('is refused with %s', (_, version) => {
    const good = encodeSealedToken({
      keyId: 1,
      nonce: Buffer.alloc(12, 1),
      ciphertext: Buffer.alloc(40, 1),
      leafIndex: 0,
      treeSize: 1,
      path: Buffer.alloc(0),
      signature: Buffer.alloc(64, 1),
    });
    expect(decodeSealedToken(good)).toBeDefined();
    expect(decodeSealedToken(Buffer.concat([version, good.subarray(2)]))).toBeUndefined();
    expect(decodeSealedToken(Buffer.concat([good, Buffer.alloc(1_024)]))).toBeUndefined();
  });
});
