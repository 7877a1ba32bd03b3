import type { AwardType } from '../../vocabulary/award-type.ts';
import type { ActId, PhaseId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import { formatOrderNumber, type OrderNumber } from '../../vocabulary/order-number.ts';
import { TOKEN_STATUS, type TokenStatus } from '../../vocabulary/token-status.ts';
import type { BookEntry, LogPosition, TokenBook, Win } from '../ports.ts';

interface Outstanding {
  readonly order: Order;
  readonly position: LogPosition;
  status: TokenStatus;
}

/** What is kept of a win for the life of its phase, in five numbers: a night has millions of them. */
const SCENE = 0;
const RAIN = 1;
const AWARD_AND_STAGE = 4;
const STRIDE = 5;

interface Person {
  /** STRIDE numbers per win. */
  wins: number[];
  outstanding: Outstanding[] | undefined;
}

/** Names that recur in every order are kept once. */
function createNames<Name extends string>() {
  const numberOf = new Map<Name, number>();
  const names: Name[] = [];
  return {
    number(name: Name): number {
      let number = numberOf.get(name);
      if (number === undefined) {
        number = names.push(name) - 1;
        numberOf.set(name, number);
      }
      return number;
    },
    name: (number: number): Name => names[number]!,
  };
}

/** The book in memory; whoever opens the log tells it every record that is there (processes/all-in-one). */
export function createTokenBook(): TokenBook {
  const scenes = createNames<SceneId>();
  const kinds = createNames<`${AwardType}_${PhaseId}`>();
  const phases = new Map<PhaseKey, Map<ActId, Person>>();
  let outstandingCount = 0;

  const personOf = (actId: ActId, phaseKey: PhaseKey): Person | undefined => phases.get(phaseKey)?.get(actId);

  function makePerson(actId: ActId, phaseKey: PhaseKey): Person {
    let phase = phases.get(phaseKey);
    if (!phase) {
      phase = new Map();
      phases.set(phaseKey, phase);
    }
    let person = phase.get(actId);
    if (!person) {
      person = { wins: [], outstanding: undefined };
      phase.set(actId, person);
    }
    return person;
  }

  const winAt = (person: Person, at: number, actId: ActId): Win => {
    const [sceneNumber, rainId, sequence, leafIndex, kindNumber] = person.wins.slice(at, at + STRIDE);
    const [awardType, stage] = kinds.name(kindNumber!).split('_') as [AwardType, PhaseId];
    const sceneId = scenes.name(sceneNumber!);
    return {
      orderNumber: formatOrderNumber({ actId, sceneId, rainId: rainId as RainId, awardType, stage }),
      sceneId,
      rainId: rainId as RainId,
      position: { sequence: sequence!, leafIndex: leafIndex! },
    };
  };

  function hasWin(person: Person, sceneNumber: number, rainId: number, kindNumber: number): boolean {
    for (let at = 0; at < person.wins.length; at += STRIDE) {
      const { wins } = person;
      if (
        wins[at + RAIN] === rainId &&
        wins[at + SCENE] === sceneNumber &&
        wins[at + AWARD_AND_STAGE] === kindNumber
      )
        return true;
    }
    return false;
  }

  function recordOne(order: Order, position: LogPosition): void {
    const person = makePerson(order.actId, order.phaseKey);
    const sceneNumber = scenes.number(order.sceneId);
    const kindNumber = kinds.number(`${order.awardType}_${order.phaseId}`);
    if (hasWin(person, sceneNumber, order.rainId, kindNumber)) return;
    person.wins.push(sceneNumber, order.rainId, position.sequence, position.leafIndex, kindNumber);
    person.outstanding ??= [];
    person.outstanding.push({ order, position, status: TOKEN_STATUS.outstanding });
    outstandingCount += 1;
  }

  function advanceOne(orderNumber: OrderNumber, person: Person, status: TokenStatus): void {
    const at = person.outstanding?.findIndex((entry) => entry.order.orderNumber === orderNumber) ?? -1;
    const entry = person.outstanding?.[at];
    if (!entry || entry.status >= status) return;
    entry.status = status;
    if (status !== TOKEN_STATUS.credited) return;
    person.outstanding!.splice(at, 1);
    if (person.outstanding!.length === 0) person.outstanding = undefined;
    outstandingCount -= 1;
  }

  return {
    async record(entries) {
      for (const { order, position } of entries) recordOne(order, position);
    },
    async advance(orders, status) {
      for (const order of orders) {
        const person = personOf(order.actId, order.phaseKey);
        if (person) advanceOne(order.orderNumber, person, status);
      }
    },
    async outstandingOf(actId, phaseKey) {
      return (personOf(actId, phaseKey)?.outstanding ?? []).map((entry): BookEntry => ({ ...entry }));
    },
    async winsOf(actId, phaseKey) {
      const person = personOf(actId, phaseKey);
      const wins: Win[] = [];
      for (let at = 0; person && at < person.wins.length; at += STRIDE) wins.push(winAt(person, at, actId));
      return wins;
    },
    outstandingCount: () => outstandingCount,
  };
}
