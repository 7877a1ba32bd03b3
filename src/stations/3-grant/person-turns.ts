import type { PersonTurn, TokenBook, Win } from '../../engines/ports.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';
import { createTurns } from './turns.ts';

/** While it is held nobody else grants to this person, as far as the book can say so. */
export interface HeldTurn {
  /** Every order of this person in the phase, under all their ids; none while the book is away. */
  readonly wins: readonly Win[];
  /** Whether it lasts until a promise that is made now has been noted. */
  lasts(): boolean;
  /** Makes it last longer. False when somebody else may have granted to this person meanwhile, or does so now. */
  renew(): Promise<boolean>;
  /** The note of this order gives the turn back. */
  endsWith(order: Order): void;
}

export interface PersonTurns {
  /** Does it in the person's turn; refuses when another process has that for too long. */
  inTurn<Result>(
    person: Person,
    phaseKey: PhaseKey,
    act: (turn: HeldTurn) => Promise<Result>,
  ): Promise<Result | Refusal>;
}

/** What there is while the book is away: nothing is known, and nobody is kept waiting. */
const WITHOUT_BOOK: PersonTurn = { wins: [], lasts: () => true, endsWith() {}, giveBack() {} };

/**
 * A person's grants take turns, first in this process and then, by the book, among all processes: so one request a
 * person and process asks the book. A joined person's turns are taken under all ids, rising, so that nobody waits in a
 * circle, and a process that has not heard of the join yet waits for one that has.
 */
export function createPersonTurns(book: Pick<TokenBook, 'takeTurn'>): PersonTurns {
  const inProcess = createTurns<ActId>();

  /** Undefined when one of them is another's for too long; then none is kept. */
  async function takeAll(person: Person, phaseKey: PhaseKey): Promise<readonly PersonTurn[] | undefined> {
    const taken: PersonTurn[] = [];
    let isDone = false;
    try {
      for (const actId of idsOf(person)) {
        const turn = await unlessBookIsAway(() => book.takeTurn(actId, phaseKey), WITHOUT_BOOK);
        if (!turn) return undefined;
        taken.push(turn);
      }
      isDone = true;
      return taken;
    } finally {
      if (!isDone) giveBack(taken);
    }
  }

  async function hold<Result>(
    person: Person,
    phaseKey: PhaseKey,
    act: (turn: HeldTurn) => Promise<Result>,
  ): Promise<Result | Refusal> {
    let turns = await takeAll(person, phaseKey);
    if (!turns) return anotherHasIt();
    let wins = winsOf(turns);
    try {
      return await act({
        get wins() {
          return wins;
        },
        lasts: () => turns!.every((turn) => turn.lasts()),
        async renew() {
          turns = await takeAll(person, phaseKey);
          if (!turns) return false;
          const known = new Set(wins.map(({ orderNumber }) => orderNumber));
          wins = winsOf(turns);
          return wins.every(({ orderNumber }) => known.has(orderNumber));
        },
        // The order is made under the person's own id; what is held under their aliases is given back behind it.
        endsWith: ({ orderNumber }) => turns![0]!.endsWith(orderNumber),
      });
    } finally {
      giveBack(turns ?? []);
    }
  }

  return {
    inTurn: (person, phaseKey, act) => inProcess.takeAll(idsOf(person), () => hold(person, phaseKey, act)),
  };
}

const winsOf = (turns: readonly PersonTurn[]): readonly Win[] =>
  turns.length === 1 ? turns[0]!.wins : turns.flatMap(({ wins }) => wins);

function giveBack(turns: readonly PersonTurn[]): void {
  for (const turn of turns) turn.giveBack();
}

export const anotherHasIt = (): Refusal =>
  refuse('idempotency-in-flight', 'another gateway is granting to this person; ask again');
