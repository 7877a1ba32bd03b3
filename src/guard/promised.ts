import type { Account, TokenBook } from '../engines/ports.ts';
import type { Order } from '../vocabulary/order.ts';
import { unlessBookIsAway } from './weak.ts';

/** What the book has of somebody that is not credited yet, and whether that is all. */
export interface Promised {
  readonly orders: readonly Order[];
  readonly complete: boolean;
}

const NOTHING_KNOWN: Promised = { orders: [], complete: false };

/** Asked in this order: that the book is whole says so of what was read before. */
export const promisedToOne = (
  book: Pick<TokenBook, 'outstandingOf' | 'isWhole'>,
  { actId, phaseKey }: Account,
): Promise<Promised> =>
  unlessBookIsAway(async () => {
    const entries = await book.outstandingOf(actId, phaseKey);
    return { orders: entries.map((entry) => entry.order), complete: await book.isWhole(actId) };
  }, NOTHING_KNOWN);
