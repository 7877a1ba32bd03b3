import type { Brand } from './brand.ts';

/** An amount of money in fen (1/100 yuan). Always an integer; negative only inside a posting. */
export type Fen = Brand<bigint, 'Fen'>;

/** What fits a JSON number exactly; every amount that crosses an edge is at most this (about 90 trillion yuan). */
export const FEN_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export const ZERO_FEN = 0n as Fen;

/** Takes a bigint that is already known to be an amount, in fen. Throws a RangeError beyond ±FEN_MAX. */
export function fen(amount: bigint): Fen {
  if (amount > FEN_MAX || amount < -FEN_MAX) throw new RangeError(`${amount} fen is beyond ±${FEN_MAX}`);
  return amount as Fen;
}

/** Reads a positive amount in fen from an edge: a JSON number, or decimal digits. Anything else is undefined. */
export function parsePositiveFen(input: unknown): Fen | undefined {
  if (typeof input === 'number') {
    return Number.isSafeInteger(input) && input > 0 ? (BigInt(input) as Fen) : undefined;
  }
  if (typeof input !== 'string' || !/^[1-9][0-9]{0,15}$/.test(input)) return undefined;
  const amount = BigInt(input);
  return amount <= FEN_MAX ? (amount as Fen) : undefined;
}

/** The amount as a JSON number of fen; exact, because `fen` bounds it. */
export const fenToJson = (amount: Fen): number => Number(amount);

/** 1234 fen as "12.34". */
export function formatYuan(amount: Fen): string {
  const sign = amount < 0n ? '-' : '';
  const digits = (amount < 0n ? -amount : amount).toString().padStart(3, '0');
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

export const sumFen = (amounts: Iterable<Fen>): Fen => {
  let total = 0n;
  for (const amount of amounts) total += amount;
  return fen(total);
};
