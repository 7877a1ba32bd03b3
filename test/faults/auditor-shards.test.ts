import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkBalances } from '../../rehearsal/audit/check-money.ts';
import { Findings } from '../../rehearsal/audit/report.ts';
import { readAllBooks } from '../../rehearsal/audit/shards.ts';
import { allotmentMigrations } from '../../src/engines/postgres/allotments/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { openPool } from '../../src/engines/postgres/pool.ts';
import { moveBucket } from '../../src/ledger/index.ts';
import { anOrder } from '../support/orders.ts';
import { quiet, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { shardRetry, startShards, type TestShards } from '../support/shards.ts';

/** The auditor over several shards: silent at every step of a move, and not for one planted fault. */
describe('the auditor of a sharded ledger', { timeout: 60_000 }, () => {
  let server: TestPostgres;
  let shards: TestShards;
  let controlUrl: string;
  const orders = Array.from({ length: 20 }, (_, person) =>
    anOrder({ person: person + 1, slice: 1 + (person % 3) }),
  );

  beforeAll(async () => {
    server = await startTestPostgres();
    shards = await startShards([server], ['a', 'b'], 4);
    controlUrl = await server.createDatabase();
    const control = openPool({ url: controlUrl, logger: quiet, connectionsMax: 1, applicationName: 'test' });
    await migrate(control, allotmentMigrations);
    await control.end();
    const ledger = await shards.open();
    await ledger.credit(orders);
    await ledger.close();
  });
  afterAll(async () => {
    await shards.stop();
    await server.stop();
  });

  const look = async (): Promise<{ found: string[]; credits: string[] }> => {
    const findings = new Findings();
    const books = await readAllBooks(
      shards.addresses.map(({ url }) => url),
      controlUrl,
      findings,
    );
    checkBalances(books, findings);
    const credits = books.postings.filter((posting) => posting.act_id > 0n).map((posting) => posting.ref);
    return {
      found: findings.list.map(({ invariant, what }) => `${invariant} ${what}`),
      credits: credits.sort(),
    };
  };
  const all = orders.map((order) => order.orderNumber as string).sort();

  it('finds nothing at any step of a move, and every order once', async () => {
    let looks = 0;
    const onStep = async (step: string) => {
      // Between the two commits of a hand-over the bucket is nobody's; the auditor would look until it is somebody's.
      if (step === 'handed-over') return;
      looks += 1;
      expect(await look()).toEqual({ found: [], credits: all });
    };
    const options = { map: shards.map, poolOf: shards.poolOf, retry: shardRetry, logger: quiet };
    await moveBucket({ ...options, accountsPerStep: 2, onStep }, 0, 'b');
    expect(looks).toBeGreaterThan(6);
    expect(await look()).toEqual({ found: [], credits: all });
  });

  it.each([
    [
      'money out of nowhere',
      [
        'UPDATE ledger.posting SET amount_fen = amount_fen + 1 WHERE purse = 3 AND ref = (SELECT max(ref) FROM ledger.posting WHERE purse = 3)',
      ],
      ['I6 the postings do not sum to zero'],
    ],
    [
      'a person on a shard that never had the bucket',
      [
        "INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms) VALUES (4000002, 3, 2, 'lost', 0, 1)",
      ],
      ['I1 a posting lies on a shard that never had its bucket'],
    ],
    [
      'a bucket that two own',
      ["INSERT INTO ledger.bucket (bucket, state, epoch) VALUES (2, 'held', 9)"],
      ['I8 a bucket is owned by two shards'],
    ],
    [
      'a bucket that nobody owns',
      ["UPDATE ledger.bucket SET state = 'gone' WHERE bucket = 3"],
      ['I8 a bucket is owned by no shard'],
    ],
  ])('sees %s', async (_, faults, expected) => {
    const client = await shards.pools.get('b')!.connect();
    // Planted for the auditor's own connections to see, and undone from a copy of what was there.
    await client.query(
      'CREATE TABLE kept_bucket AS SELECT bucket, state, epoch FROM ledger.bucket; CREATE TABLE kept_posting AS SELECT act_id, phase_key, purse, ref, amount_fen FROM ledger.posting',
    );
    for (const fault of faults) await client.query(fault);
    const { found } = await look();
    await client.query(
      `DELETE FROM ledger.posting WHERE act_id = 4000002;
       DELETE FROM ledger.bucket WHERE bucket NOT IN (SELECT bucket FROM kept_bucket);
       UPDATE ledger.bucket b SET state = k.state FROM kept_bucket k WHERE k.bucket = b.bucket;
       UPDATE ledger.posting p SET amount_fen = k.amount_fen FROM kept_posting k
         WHERE (k.act_id, k.phase_key, k.purse, k.ref) = (p.act_id, p.phase_key, p.purse, p.ref);
       DROP TABLE kept_bucket; DROP TABLE kept_posting`,
    );
    client.release();
    expect(found).toEqual(expect.arrayContaining(expected));
    expect((await look()).found).toEqual([]);
  });
});
