import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anOrder } from '../../test/support/orders.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { Order } from '../vocabulary/order.ts';
import { decodeCursor, encodeCursor, type LedgerLine, mergeRecords, type Place } from './merge-records.ts';
import { overlayBalances } from './wallet-overlay.ts';

const creditOf = (order: Order): LedgerLine => ({
  kind: 'credit',
  ref: order.orderNumber,
  atMs: order.drawnAtMs,
  amountFen: order.amountFen,
});

/** The ledger's answer: newest first, behind the cursor, at most `limit`. */
const ledgerPage = (credited: readonly Order[], after: Place | undefined, limit: number) =>
  mergeRecords([], credited, after, limit).map((record) =>
    creditOf(credited.find((order) => order.orderNumber === record.ref)!),
  );

describe('the lines of a wallet', () => {
  it('appear once each and newest first, page by page, while tokens become credits between and within the pages', () => {
    const orders = fc
      .array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 40 })
      .map((times) => times.map((time, at) => anOrder({ person: 1, rain: at + 1, atMs: time })));
    fc.assert(
      fc.property(
        orders,
        fc.integer({ min: 1, max: 7 }),
        fc.infiniteStream(fc.nat(3)),
        (all, limit, moves) => {
          const credited: Order[] = [];
          const creditSome = () => {
            const count = moves.next().value ?? 0;
            credited.push(...all.filter((order) => !credited.includes(order)).slice(0, count));
          };
          const seen: string[] = [];
          let after: Place | undefined;
          for (;;) {
            const tokens = all.filter((order) => !credited.includes(order));
            // Between the look at the book and the look at the ledger.
            creditSome();
            const page = mergeRecords(ledgerPage(credited, after, limit), tokens, after, limit);
            seen.push(...page.map((record) => record.ref));
            if (page.length < limit) break;
            after = page.at(-1)!;
            creditSome();
          }
          const expected = mergeRecords([], all, undefined, all.length).map((record) => record.ref);
          expect(seen).toEqual(expected);
        },
      ),
    );
  });

  it('say what is outstanding, credited and withdrawn, the last with its sign', () => {
    const [waiting, done] = [
      anOrder({ person: 1, rain: 1, atMs: 3, fen: 5 }),
      anOrder({ person: 1, rain: 2, atMs: 1, fen: 7 }),
    ];
    const withdrawal: LedgerLine = {
      kind: 'withdrawal',
      ref: 'w',
      atMs: instantMs(2),
      amountFen: 6n as never,
      state: 'paying',
    };
    const lines = mergeRecords([withdrawal, creditOf(done)], [waiting, done], undefined, 9);
    expect(lines.map((line) => [line.kind, line.amountFen, line.status])).toEqual([
      ['credit', 5n, 'outstanding'],
      ['withdrawal', -6n, 'paying'],
      ['credit', 7n, 'credited'],
    ]);
  });
});

describe('a piece among the tokens', () => {
  it('is no line of the records and counts for nothing in the balances', () => {
    const [money, piece] = [
      anOrder({ person: 1, rain: 1, fen: 5 }),
      anOrder({ person: 1, rain: 2, fen: 1_900, award: 'cinema-ticket' }),
    ];
    expect(mergeRecords([], [piece, money], undefined, 9).map((line) => line.ref)).toEqual([
      money.orderNumber,
    ]);
    const ledger = { balanceFen: 1n, heldFen: 0n, incomeFen: 1n, credited: new Set([piece.orderNumber]) };
    for (const credited of [ledger.credited, new Set<never>()])
      expect(overlayBalances({ ...ledger, credited } as never, [piece, money])).toMatchObject({
        balanceFen: 6n,
        outstandingFen: 5n,
        totalIncomeFen: 6n,
      });
  });
});

describe('a cursor', () => {
  it('leads back to its place', () => {
    const ref = fc.stringMatching(/^[A-Za-z0-9_-]{1,160}$/);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), ref, (atMs, text) => {
        const place = { atMs: instantMs(atMs), ref: text };
        expect(decodeCursor(encodeCursor(place))).toEqual(place);
      }),
    );
  });

  it.each([
    '',
    'x',
    'e30',
    '=',
    Buffer.from('1|').toString('base64url'),
    Buffer.from('0|a').toString('base64url'),
    Buffer.from('-1|a').toString('base64url'),
    Buffer.from('1e3|a').toString('base64url'),
    Buffer.from('9999999999999999|a').toString('base64url'),
    Buffer.from("1|a' OR 1=1").toString('base64url'),
    Buffer.from('1|a\0').toString('base64url'),
    `${Buffer.from('12|ab').toString('base64url')}=`,
    `${Buffer.from('1|a').toString('base64url')} `,
    'A'.repeat(301),
    '１２',
  ])('that we did not write is none: %j', (text) => {
    expect(decodeCursor(text)).toBeUndefined();
  });

  it('is none for any other text, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const place = decodeCursor(text);
        expect(place === undefined || encodeCursor(place) === text).toBe(true);
      }),
    );
  });
});

describe('the balances of a wallet', () => {
  it('count each packet once, whether the ledger has it or only the book', () => {
    const [waiting, done] = [
      anOrder({ person: 1, rain: 1, fen: 5 }),
      anOrder({ person: 1, rain: 2, fen: 7 }),
    ];
    const ledger = { balanceFen: 4n, heldFen: 3n, incomeFen: 7n, credited: new Set([done.orderNumber]) };
    expect(overlayBalances(ledger as never, [waiting, done])).toEqual({
      balanceFen: 9n,
      creditedFen: 4n,
      outstandingFen: 5n,
      heldFen: 3n,
      totalIncomeFen: 12n,
    });
  });
});
