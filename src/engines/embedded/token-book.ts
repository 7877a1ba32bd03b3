import { decodeToken, encodeToken } from '../../protocol/token-codec.ts';
import type { AwardType } from '../../vocabulary/award-type.ts';
import type { ActId, PhaseId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import type { Order } from '../../vocabulary/order.ts';
import { formatOrderNumber } from '../../vocabulary/order-number.ts';
import { TOKEN_STATUS, type TokenStatus } from '../../vocabulary/token-status.ts';
import type { BookEntry, LogPosition, TokenBook, Win } from '../ports.ts';
import { NO_ROW, People } from './token-book/people.ts';
import { TokenSlab } from './token-book/token-slab.ts';
import { type WinRow, WinTable } from './token-book/win-table.ts';

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

/**
 * The book in memory; whoever opens the log tells it every record that is there. A night has millions of wins, so they
 * stand in flat columns: a million take about 60 MB, and 90 MB more while all of them are outstanding.
 */
export function createTokenBook(): TokenBook {
  const scenes = createNames<SceneId>();
  const kinds = createNames<`${AwardType}_${PhaseId}`>();
  const phases = new Map<PhaseKey, People>();
  const wins = new WinTable();
  const slab = new TokenSlab();
  let outstandingCount = 0;

  const newestOf = (actId: ActId, phaseKey: PhaseKey): number => phases.get(phaseKey)?.rowOf(actId) ?? NO_ROW;

  /** The person's row of this order, or NO_ROW. */
  function rowOf(order: Order): number {
    const scene = scenes.number(order.sceneId);
    const kind = kinds.number(`${order.awardType}_${order.phaseId}`);
    let row = newestOf(order.actId, order.phaseKey);
    while (row !== NO_ROW && !wins.is(row, scene, order.rainId, kind)) row = wins.earlierOf(row);
    return row;
  }

  /** All wins of a person, oldest first. */
  function rowsOf(actId: ActId, phaseKey: PhaseKey): WinRow[] {
    const rows: WinRow[] = [];
    for (let row = newestOf(actId, phaseKey); row !== NO_ROW; row = wins.earlierOf(row))
      rows.push(wins.at(row));
    return rows.reverse();
  }

  /** Whether it is new. */
  function recordOne(order: Order, position: LogPosition): boolean {
    if (rowOf(order) !== NO_ROW) return false;
    let people = phases.get(order.phaseKey);
    if (!people) {
      people = new People();
      phases.set(order.phaseKey, people);
    }
    const row = wins.add({
      earlier: people.rowOf(order.actId),
      scene: scenes.number(order.sceneId),
      rain: order.rainId,
      kind: kinds.number(`${order.awardType}_${order.phaseId}`),
      sequence: position.sequence,
      leafIndex: position.leafIndex,
      token: slab.put(encodeToken(order)),
      status: TOKEN_STATUS.outstanding,
    });
    people.setRow(order.actId, row);
    outstandingCount += 1;
    return true;
  }

  function advanceOne(order: Order, status: TokenStatus): void {
    const row = rowOf(order);
    if (row === NO_ROW) return;
    const win = wins.at(row);
    if (win.status >= status) return;
    wins.setStatus(row, status);
    if (status !== TOKEN_STATUS.credited) return;
    slab.free(win.token);
    outstandingCount -= 1;
  }

  const positionOf = ({ sequence, leafIndex }: WinRow): LogPosition => ({ sequence, leafIndex });

  const entryOf = (win: WinRow): BookEntry => {
    const order = decodeToken(slab.at(win.token));
    if (!order) throw new Error(`the book can't read what it noted of log record ${win.sequence}`);
    return { order, position: positionOf(win), status: win.status };
  };

  const winOf = (win: WinRow, actId: ActId): Win => {
    const [awardType, stage] = kinds.name(win.kind).split('_') as [AwardType, PhaseId];
    const sceneId = scenes.name(win.scene);
    const rainId = win.rain as RainId;
    const orderNumber = formatOrderNumber({ actId, sceneId, rainId, awardType, stage });
    return { orderNumber, sceneId, rainId, position: positionOf(win) };
  };

  const winsOf = async (actId: ActId, phaseKey: PhaseKey): Promise<readonly Win[]> =>
    rowsOf(actId, phaseKey).map((win) => winOf(win, actId));

  return {
    async record(entries) {
      return entries.flatMap(({ order, position }) => (recordOne(order, position) ? [order] : []));
    },
    async advance(orders, status) {
      for (const order of orders) advanceOne(order, status);
    },
    isWhole: async () => true,
    async outstandingOf(actId, phaseKey) {
      return rowsOf(actId, phaseKey)
        .filter((win) => win.status !== TOKEN_STATUS.credited)
        .map(entryOf);
    },
    winsOf,
    // There is no other process.
    async takeTurn(actId, phaseKey) {
      const wins = await winsOf(actId, phaseKey);
      return { wins, isAll: true, lasts: () => true, endsWith() {}, giveBack() {} };
    },
    outstandingCount: async () => outstandingCount,
  };
}
