import type { Ledger, LogPosition, TokenBook } from '../../engines/ports.ts';
import { createPauses } from '../../guard/pauses.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import type { Order } from '../../vocabulary/order.ts';
import { TOKEN_STATUS } from '../../vocabulary/token-status.ts';

/** An order that stands in the log though nobody was told: it may be credited, or void, or promised once more elsewhere. */
export interface Doubt {
  readonly order: Order;
  readonly position: LogPosition;
  /** Counts it, where the book does not do that. */
  readonly count?: () => void;
}

export interface Doubts {
  note(doubts: readonly Doubt[]): void;
  open(): number;
  /** Asks about each that is due; never throws. */
  askOnce(): Promise<void>;
  stop(): Promise<void>;
}

export interface DoubtsDeps {
  readonly ledger: Pick<Ledger, 'wallet'>;
  readonly book: Pick<TokenBook, 'winsOf' | 'record' | 'advance'>;
  readonly onBug: (error: unknown) => void;
}

const ASK_EVERY_MS = 500;
/** Turns between two questions about one order grow up to this. */
const TURNS_MAX = 16;
/** About a night. What is void is never credited, and nobody says so; the oldest go first. */
const TRIES_MAX = 10_000;
const DOUBTS_MAX = 100_000;

interface Open extends Doubt {
  tries: number;
  dueAtTurn: number;
}

/**
 * Keeps the total exact where it was unknown whether a packet was given: such a one counts when the ledger has credited
 * it, and if nobody else has counted it. The book knows that: whoever is told of a promise notes it there first.
 */
export function createDoubts({ ledger, book, onBug }: DoubtsDeps): Doubts {
  const open = new Set<Open>();
  const pauses = createPauses();
  let turn = 0;
  let working: Promise<void> | undefined;

  /** True when it is decided. */
  async function decide({ order, position, count }: Doubt): Promise<boolean> {
    const { actId, phaseKey, orderNumber } = order;
    const win = (await book.winsOf(actId, phaseKey)).find((one) => one.orderNumber === orderNumber);
    if (win) {
      const isHere =
        win.position.sequence === position.sequence && win.position.leafIndex === position.leafIndex;
      // The book has it from here: it is not void, and whoever asked for it again was given this one.
      if (isHere) count?.();
      return true;
    }
    if (!(await ledger.wallet({ actId, phaseKey }, [orderNumber])).credited.has(orderNumber)) return false;
    // From now on whoever asks for it again is given this one.
    await book.record([{ order, position }]);
    await book.advance([order], TOKEN_STATUS.credited);
    count?.();
    return true;
  }

  async function ask(doubt: Open): Promise<void> {
    doubt.tries += 1;
    doubt.dueAtTurn = turn + Math.min(TURNS_MAX, 2 ** Math.min(doubt.tries, 16));
    try {
      if ((await decide(doubt)) || doubt.tries >= TRIES_MAX) open.delete(doubt);
    } catch (error) {
      if (!(error instanceof RetryableFault)) onBug(error);
    }
  }

  async function askOnce(): Promise<void> {
    turn += 1;
    for (const doubt of open) {
      if (pauses.stopped) return;
      if (doubt.dueAtTurn <= turn) await ask(doubt);
    }
  }

  async function work(): Promise<void> {
    while (open.size > 0 && !pauses.stopped) {
      await pauses.pause(ASK_EVERY_MS);
      await askOnce();
    }
    working = undefined;
  }

  return {
    note(doubts) {
      for (const doubt of doubts) {
        open.add({ ...doubt, tries: 0, dueAtTurn: 0 });
        const [oldest] = open;
        if (open.size > DOUBTS_MAX) open.delete(oldest!);
      }
      if (open.size > 0 && !pauses.stopped) working ??= work();
    },
    open: () => open.size,
    askOnce,
    async stop() {
      pauses.stop();
      await working;
    },
  };
}
