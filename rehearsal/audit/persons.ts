import type { Catalog } from './ledger.ts';
import type { AuditedOrder } from './token.ts';

/**
 * A process that goes on hears of a join within about a second; what is drawn so long after it is of one person for
 * everybody.
 */
const HEARD_WITHIN_MS = 10_000;

type Joins = Pick<Catalog, 'aliases'>['aliases'];

/**
 * What counts against one person's caps together, by `campaign/phaseKey/id`: the orders of each id, and those of all ids
 * that are one person's by now, under `id+alias+…`. Two ids may have filled their caps before they were joined, and
 * keep it. But once one of them has drawn anything more after that, all of theirs is looked at when that is granted. So
 * of several joins the last one counts after which something was drawn. An order is told of when it was drawn, not when
 * it was granted, which is later: nothing right is found wrong by it.
 */
export function ordersByPerson(
  orders: Iterable<AuditedOrder>,
  aliases: Joins,
): ReadonlyMap<string, readonly AuditedOrder[]> {
  const phases = new Map<string, Map<bigint, AuditedOrder[]>>();
  for (const order of orders) {
    const phase = `${order.campaign}/${order.phaseKey}`;
    const ids = phases.get(phase) ?? new Map<bigint, AuditedOrder[]>();
    phases.set(phase, ids);
    const own = ids.get(order.actId) ?? [];
    ids.set(order.actId, own);
    own.push(order);
  }
  const joins = joinsByPerson(aliases);
  const persons = new Map<string, readonly AuditedOrder[]>();
  for (const [phase, ids] of phases) {
    for (const [actId, own] of ids) persons.set(`${phase}/${actId}`, own);
    for (const [root, joined] of joins) {
      const one = joinedOrders(root, joined, ids);
      if (one) persons.set(`${phase}/${one.ids.join('+')}`, one.orders);
    }
  }
  return persons;
}

/** By person, the earliest join first. */
function joinsByPerson(aliases: Joins): ReadonlyMap<bigint, Joins> {
  const joins = new Map<bigint, Joins>();
  for (const alias of aliases) joins.set(alias.root_act_id, [...(joins.get(alias.root_act_id) ?? []), alias]);
  for (const [root, own] of joins)
    joins.set(
      root,
      own.toSorted((a, b) => a.joined_at.getTime() - b.joined_at.getTime()),
    );
  return joins;
}

/** All orders of the most ids that were one person when one of them drew something. */
function joinedOrders(
  root: bigint,
  joins: Joins,
  orders: ReadonlyMap<bigint, readonly AuditedOrder[]>,
): { readonly ids: readonly bigint[]; readonly orders: readonly AuditedOrder[] } | undefined {
  for (let count = joins.length; count > 0; count -= 1) {
    const ids = [root, ...joins.slice(0, count).map(({ act_id }) => act_id)];
    const own = ids.flatMap((actId) => orders.get(actId) ?? []);
    const knownMs = joins[count - 1]!.joined_at.getTime() + HEARD_WITHIN_MS;
    if (own.some(({ drawnAtMs }) => drawnAtMs >= knownMs)) return { ids, orders: own };
  }
  return undefined;
}
