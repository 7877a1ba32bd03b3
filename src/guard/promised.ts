import type { Account, TokenBook } from '../engines/ports.ts';
import type { Order } from '../vocabulary/order.ts';
import { readWhole, unlessBookIsAway } from './weak.ts';

/** What the book has of somebody that is not credited yet, and whether that is all. */
export interface Promised {
  readonly orders: readonly Order[];
  readonly complete: boolean;
}

const NOTHING_KNOWN: Promised = { orders: [], complete: false };

/** Nothing, and not all, while the book is away. */
export const promisedToOne = (
  book: Pick<TokenBook, 'outstandingOf' | 'isWhole'>,
  { actId, phaseKey }: Account,
): Promise<Promised> =>
  unlessBookIsAway(async () => {
    const { found, isAll } = await readWhole(book, actId, () => book.outstandingOf(actId, phaseKey));
    return { orders: found.map((entry) => entry.order), complete: isAll };
  }, NOTHING_KNOWN);
