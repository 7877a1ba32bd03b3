import { describe, expect, it } from 'vitest';
import { ordersByPerson } from '../../rehearsal/audit/persons.ts';
import type { AuditedOrder } from '../../rehearsal/audit/token.ts';

const [ROOT, SECOND, THIRD] = [1_000_001n, 1_000_002n, 1_000_003n] as const;
/** Till every process has heard of a join. */
const HEARD_MS = 10_000;

const drawn = (actId: bigint, drawnAtMs: number, phaseKey = 3) =>
  ({ actId, drawnAtMs, phaseKey, campaign: 'gala' }) as AuditedOrder;
const join = (act_id: bigint, atMs: number, root_act_id: bigint = ROOT) => ({
  act_id,
  root_act_id,
  joined_at: new Date(atMs),
});
const [AT, LATER] = [100_000, 500_000];

/** How many orders are looked at together, where several ids are one. */
function together(orders: readonly AuditedOrder[], aliases: readonly ReturnType<typeof join>[]) {
  const all = ordersByPerson(orders, aliases);
  return Object.fromEntries(
    [...all].filter(([person]) => person.includes('+')).map(([person, own]) => [person, own.length]),
  );
}

describe('the auditor of a person’s caps', () => {
  const both = `gala/3/${ROOT}+${SECOND}`;

  it.each<[string, readonly AuditedOrder[], readonly ReturnType<typeof join>[], object]>([
    ['nobody was joined', [drawn(ROOT, AT), drawn(SECOND, AT)], [], {}],
    ['all of it was drawn before', [drawn(ROOT, AT - 1), drawn(SECOND, AT)], [join(SECOND, AT)], {}],
    [
      'not everybody has heard of it',
      [drawn(ROOT, 1), drawn(SECOND, AT + HEARD_MS - 1)],
      [join(SECOND, AT)],
      {},
    ],
    [
      'the alias drew afterwards',
      [drawn(ROOT, 1), drawn(SECOND, AT + HEARD_MS)],
      [join(SECOND, AT)],
      { [both]: 2 },
    ],
    [
      'the person drew afterwards',
      [drawn(SECOND, 1), drawn(SECOND, 2), drawn(ROOT, LATER)],
      [join(SECOND, AT)],
      { [both]: 3 },
    ],
    [
      'somebody else drew afterwards',
      [drawn(ROOT, 1), drawn(SECOND, 1), drawn(THIRD, LATER)],
      [join(SECOND, AT)],
      {},
    ],
    [
      'one of three was joined too late',
      [drawn(ROOT, 1), drawn(SECOND, AT + HEARD_MS), drawn(THIRD, 1)],
      [join(THIRD, LATER), join(SECOND, AT)],
      { [both]: 2 },
    ],
    [
      'all three are one by then',
      [drawn(ROOT, 1), drawn(SECOND, LATER + HEARD_MS), drawn(THIRD, 1)],
      [join(THIRD, LATER), join(SECOND, AT)],
      { [`${both}+${THIRD}`]: 3 },
    ],
    [
      'each phase for itself',
      [drawn(ROOT, LATER), drawn(SECOND, 1), drawn(ROOT, LATER, 4), drawn(SECOND, 1, 4), drawn(ROOT, 1, 5)],
      [join(SECOND, AT)],
      { [both]: 2, [`gala/4/${ROOT}+${SECOND}`]: 2 },
    ],
  ])('counts ids together, or not: %s', (_, orders, aliases, expected) =>
    expect(together(orders, aliases)).toEqual(expected),
  );

  it('always counts each id by itself', () => {
    const orders = [drawn(ROOT, LATER), drawn(SECOND, LATER), drawn(SECOND, 1)];
    const all = ordersByPerson(orders, [join(SECOND, AT)]);
    expect(all.get(`gala/3/${SECOND}`)).toHaveLength(2);
    expect(all.get(`gala/3/${ROOT}`)).toHaveLength(1);
  });
});
