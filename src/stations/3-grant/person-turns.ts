import type { KnownWin, KnownWins, PersonTurn, TokenBook } from '../../engines/ports.ts';
import type { CreditedWins } from '../../guard/credited-wins.ts';
import { recent } from '../../guard/recent.ts';
import { unlessBookIsAway } from '../../guard/weak.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import type { ActId, PhaseKey } from '../../vocabulary/ids.ts';
import { eachOnce, type Order } from '../../vocabulary/order.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';
import { createTurns } from './turns.ts';

/**
 * While it is held nobody else grants to this person, as far as the book can say so. `wins`: under all their ids, and
 * what the ledger and this process know beside the book.
 */
export interface HeldTurn extends KnownWins {
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
  /** Remembers what this process has granted, for times without a book, or without a log that tells the book. */
  remember(order: Order): void;
}

const REMEMBERED_MAX = 50_000;

/** What there is while the book is away: nothing is known, and nobody is kept waiting. */
const WITHOUT_BOOK: PersonTurn = { wins: [], isAll: false, lasts: () => true, endsWith() {}, giveBack() {} };

/**
 * A person's grants take turns, first in this process and then, by the book, among all processes: so one request a
 * person and process asks the book. A joined person's turns are taken under all ids, rising, so that nobody waits in a
 * circle, and a process that has not heard of the join yet waits for one that has.
 */
export function createPersonTurns(
  book: Pick<TokenBook, 'takeTurn'>,
  creditedWins: CreditedWins,
): PersonTurns {
  const inProcess = createTurns<ActId>();
  const grantedHere = recent<string, readonly KnownWin[]>(REMEMBERED_MAX);

  /** By rising id; undefined when one of them is another's for too long: then none is kept. */
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

  /** Asked behind the turn, so that nobody adds to it. */
  async function winsOf(actId: ActId, phaseKey: PhaseKey, turn: PersonTurn): Promise<KnownWins> {
    const known = await creditedWins.beside(actId, phaseKey, turn);
    const here = grantedHere.get(keyOf(actId, phaseKey));
    return here ? { wins: eachOnce([...known.wins, ...here]), isAll: known.isAll } : known;
  }

  async function lookUp(
    person: Person,
    phaseKey: PhaseKey,
    turns: readonly PersonTurn[],
  ): Promise<KnownWins> {
    if (turns.length === 1) return winsOf(person.actId, phaseKey, turns[0]!);
    const found = await Promise.all(
      idsOf(person).map((actId, place) => winsOf(actId, phaseKey, turns[place]!)),
    );
    return { wins: found.flatMap(({ wins }) => wins), isAll: found.every(({ isAll }) => isAll) };
  }

  async function hold<Result>(
    person: Person,
    phaseKey: PhaseKey,
    act: (turn: HeldTurn) => Promise<Result>,
  ): Promise<Result | Refusal> {
    let turns = await takeAll(person, phaseKey);
    if (!turns) return anotherHasIt();
    try {
      let known = await lookUp(person, phaseKey, turns);
      return await act({
        get wins() {
          return known.wins;
        },
        get isAll() {
          return known.isAll;
        },
        lasts: () => turns!.every((turn) => turn.lasts()),
        async renew() {
          turns = await takeAll(person, phaseKey);
          if (!turns) return false;
          const before = new Set(known.wins.map(({ orderNumber }) => orderNumber));
          known = await lookUp(person, phaseKey, turns);
          return known.wins.every(({ orderNumber }) => before.has(orderNumber));
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
    remember(order) {
      const key = keyOf(order.actId, order.phaseKey);
      const { orderNumber, sceneId, rainId } = order;
      const win: KnownWin = { orderNumber, sceneId, rainId, content: order };
      grantedHere.set(key, eachOnce([...(grantedHere.get(key) ?? []), win]));
    },
  };
}

const keyOf = (actId: ActId, phaseKey: PhaseKey): string => `${phaseKey}/${actId}`;

function giveBack(turns: readonly PersonTurn[]): void {
  for (const turn of turns) turn.giveBack();
}

export const anotherHasIt = (): Refusal =>
  refuse('idempotency-in-flight', 'another gateway is granting to this person; ask again');
