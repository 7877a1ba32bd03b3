import type { Pool } from 'pg';
import { BrokenInvariant } from '../../../protocol/failures.ts';
import { type ActId, parseActId } from '../../../vocabulary/ids.ts';
import type { Person } from '../../../vocabulary/person.ts';
import type { ControlStore, Known, PhoneOutcome } from '../../ports.ts';
import { asFault } from '../retryable.ts';
import joinedSinceSql from './joined-since.sql';
import personOfSql from './person-of.sql';
import personsForSql from './persons-for.sql';
import personsOfSql from './persons-of.sql';

interface PersonRow {
  readonly root: bigint;
  readonly aliases: string;
}

/** Joined while it waited, or in a circle with another: a few others are ahead at most. */
const TRIES = 20;
const GO_AGAIN: ReadonlySet<unknown> = new Set(['40001', '40P01']);

/** Who is who: the part of control's memory that knows (app, user), phone numbers and aliases. */
export function createIdentityStore(
  pool: Pool,
): Pick<ControlStore, 'personsFor' | 'personOf' | 'personsOf' | 'bindPhone' | 'joinedSince' | 'aliases'> {
  const query = async <Row extends object>(name: string, text: string, values: unknown[]): Promise<Row[]> => {
    for (let tried = 1; ; tried += 1) {
      try {
        return (await pool.query<Row>({ name, text, values })).rows;
      } catch (error) {
        if (!GO_AGAIN.has((error as { code?: unknown }).code) || tried === TRIES) throw asFault(error);
      }
    }
  };

  async function personsFor(
    users: readonly { readonly appId: number; readonly userKey: Uint8Array }[],
  ): Promise<readonly Known[]> {
    const known = new Map<number, Known>();
    // Those who are missing then: somebody else is giving them an id right now, and this statement could not see it yet.
    while (known.size < users.length) {
      const places = users.flatMap((_, place) => (known.has(place) ? [] : [place]));
      const rows = await query<PersonRow & { place: number; given: bigint }>(
        'control-persons-for',
        personsForSql,
        [
          places.map((place) => users[place]!.appId),
          places.map((place) => Buffer.from(users[place]!.userKey)),
        ],
      );
      for (const row of rows)
        known.set(places[row.place - 1]!, { given: idOf(row.given), person: personIn(row) });
    }
    return users.map((_, place) => known.get(place)!);
  }

  async function personsOf(actIds: readonly ActId[]): Promise<readonly Person[]> {
    const rows = await query<PersonRow & { place: number }>('control-persons-of', personsOfSql, [actIds]);
    const persons = new Map(rows.map((row) => [row.place, personIn(row)]));
    return actIds.map((_, index) => persons.get(index + 1)!);
  }

  async function personOf(actId: ActId): Promise<Person> {
    const [row] = await query<PersonRow>('control-person-of', personOfSql, [actId]);
    return personIn(row!);
  }

  return {
    personsFor,
    personOf,
    personsOf,
    async bindPhone(appId, userKey, phoneKey, mayReplace) {
      const [row] = await query<{ given: bigint; outcome: PhoneOutcome }>(
        'control-bind-phone',
        'SELECT given, outcome FROM control.bind_phone($1, $2, $3, $4)',
        [appId, Buffer.from(userKey), Buffer.from(phoneKey), mayReplace],
      );
      const given = idOf(row!.given);
      return { given, outcome: row!.outcome, person: await personOf(given) };
    },
    async joinedSince(mark) {
      const rows = await query<{ mark: string; root: bigint | null; aliases: string }>(
        'control-joined-since',
        joinedSinceSql,
        [mark ?? null],
      );
      const persons = rows.flatMap(({ root, aliases }) =>
        root === null ? [] : [personIn({ root, aliases })],
      );
      return { mark: rows[0]!.mark, persons };
    },
    async aliases(after, limit) {
      const rows = await query<{ act_id: bigint; root_act_id: bigint }>(
        'control-aliases',
        'SELECT act_id, root_act_id FROM control.alias WHERE act_id > $1 ORDER BY act_id LIMIT $2',
        [after ?? 0n, limit],
      );
      return rows.map((row) => ({ alias: idOf(row.act_id), actId: idOf(row.root_act_id) }));
    },
  };
}

const personIn = ({ root, aliases }: PersonRow): Person => ({
  actId: idOf(root),
  aliases: aliases === '' ? [] : aliases.split(' ').map(idOf),
});

function idOf(value: unknown): ActId {
  const actId = parseActId(value);
  if (actId === undefined) throw new BrokenInvariant('I1', 'the identities hold what is no id');
  return actId;
}
