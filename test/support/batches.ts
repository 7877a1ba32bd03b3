import type { BatchSeal, LogRecord, MicroBatch } from '../../src/engines/ports.ts';
import { encodeReadableToken } from '../../src/protocol/token-codec.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { anOrder } from './orders.ts';

/** Every third person has a piece that is worth nothing, all others money. */
const orderOf = (person: number) =>
  person % 3 === 0 ? anOrder({ person, award: 'greeting', fen: 0 }) : anOrder({ person });

/** A micro-batch of these orders; its seal is made of filler, no key has signed it. */
export const batchOf = (orders: readonly Order[], seal: Partial<BatchSeal> = {}): MicroBatch => ({
  orders,
  tokens: orders.map(encodeReadableToken),
  seal: {
    keyId: 1,
    nonce: Buffer.alloc(8),
    signature: Buffer.alloc(64, 9),
    ciphertexts: orders.map(() => Buffer.alloc(100, 7)),
    ...seal,
  },
});

export const aBatch = (people: readonly number[]): MicroBatch =>
  batchOf(people.map(orderOf), {
    nonce: Buffer.alloc(8, people[0]),
    ciphertexts: people.map((person) => Buffer.alloc(40, person % 251)),
  });

/** Whose orders stand in these records, in order. */
export const peopleOf = (records: readonly LogRecord[]): number[] =>
  records.flatMap((record) =>
    record.kind === 'grants' ? record.orders.map((order) => Number(order.actId) - 1_000_000) : [],
  );

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
