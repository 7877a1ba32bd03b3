import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NIGHT_WITHIN_MS, playSmallNight, type SmallNight } from '../support/small-night.ts';

const flipBit = (bytes: Buffer): Buffer => {
  bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
  return bytes;
};

/** An auditor that finds nothing is worth what it would find: each fault is planted in a healthy night and must be seen. */
describe('the auditor', { timeout: 120_000 }, () => {
  let night: SmallNight;
  let client: pg.Client;

  beforeAll(async () => {
    night = await playSmallNight({ seed: 1, backlog: false });
    client = new pg.Client({ connectionString: night.ledgerUrl });
    await client.connect();
  }, NIGHT_WITHIN_MS);
  afterAll(async () => {
    await client?.end();
    await night?.remove();
  });

  const found = async (): Promise<string[]> => {
    const report = await night.audit(night.dataFolder, true);
    return [...new Set(report.findings.map((finding) => finding.invariant as string))];
  };

  it('finds nothing in a healthy night', async () => expect(await found()).toEqual([]));

  const credit =
    '(SELECT ref FROM ledger.posting WHERE act_id > 0 AND purse = 1 AND slice_id IS NOT NULL ORDER BY ref LIMIT 1)';
  const tea = "(SELECT min(ref) FROM ledger.award WHERE split_part(ref, '_', 4) = 'drinks-coupon')";
  it.each([
    [
      'a credit of another amount',
      `UPDATE ledger.posting SET amount_fen = amount_fen + 1 WHERE ref = ${credit}`,
      ['I1', 'I6'],
    ],
    ['a credit that is gone', `DELETE FROM ledger.posting WHERE ref = ${credit}`, ['I2', 'I6']],
    [
      'a credit that nobody promised',
      `UPDATE ledger.posting SET ref = '1_x_1_cash_live' WHERE ref = ${credit}`,
      ['I2', 'I8'],
    ],
    [
      'money that was taken from somebody who had none',
      "INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms) SELECT leg.act_id, 3, leg.purse, 'theft', leg.fen, 1 FROM (VALUES (7::bigint, 1, -5), (0::bigint, 4, 5)) AS leg (act_id, purse, fen)",
      ['I6'],
    ],
    [
      'a funding leg that is gone',
      'DELETE FROM ledger.posting WHERE ctid = (SELECT ctid FROM ledger.posting WHERE purse = 3 LIMIT 1)',
      // Of greetings it would be a leg of nothing.
      ['I8'],
    ],
    [
      'a paid withdrawal that says it was returned',
      "UPDATE ledger.withdrawal SET state = 'returned' WHERE id = (SELECT id FROM ledger.withdrawal WHERE state = 'paid' LIMIT 1)",
      ['I1'],
    ],
    [
      'a payment that has no withdrawal',
      "DELETE FROM ledger.withdrawal WHERE id = (SELECT id FROM ledger.withdrawal WHERE state = 'paid' LIMIT 1)",
      ['I1'],
    ],
    [
      'a slice that was never leased',
      'DELETE FROM allotment.slice WHERE slice_id = (SELECT slice_id FROM ledger.posting WHERE slice_id IS NOT NULL AND purse = 1 LIMIT 1)',
      ['I5'],
    ],
    [
      'a slice smaller than what it gave',
      'UPDATE allotment.slice SET packets = 0, fen = 0 WHERE slice_id = (SELECT slice_id FROM ledger.posting WHERE slice_id IS NOT NULL AND purse = 1 LIMIT 1)',
      ['I4', 'I5'],
    ],
    [
      'a packet of another amount than was cut',
      'UPDATE allotment.slice SET amounts_fen = array_fill(1::bigint, ARRAY[packets::int]) WHERE amounts_fen IS NOT NULL',
      ['I5'],
    ],
    [
      'a piece that nobody hands out',
      'DELETE FROM ledger.award WHERE ref = (SELECT min(ref) FROM ledger.award)',
      ['I2'],
    ],
    [
      'a piece that was never credited',
      'DELETE FROM ledger.posting WHERE purse = 6 AND ref = (SELECT min(ref) FROM ledger.posting WHERE purse = 6)',
      ['I2', 'I8'],
    ],
    [
      'a piece of another worth than was cut',
      'UPDATE allotment.slice SET amounts_fen = array_fill(1::bigint, ARRAY[packets::int]) WHERE slice_id = (SELECT max(slice_id) FROM ledger.posting WHERE purse = 6)',
      ['I5'],
    ],
    [
      'a piece that was handed out and is called dead',
      `UPDATE ledger.award SET state = 'dead', voucher = NULL WHERE ref = ${tea}`,
      ['I8'],
    ],
    [
      'another voucher than was handed out',
      `UPDATE ledger.award SET voucher = 'AAAA-AAAA-AAAA' WHERE ref = ${tea}`,
      ['I2'],
    ],
    [
      'a piece that is on its way when all is over',
      `UPDATE ledger.award SET state = 'asking', voucher = NULL WHERE ref = ${tea}`,
      ['I2'],
    ],
    ['another phase key', 'UPDATE control.phase SET phase_key = phase_key + 100', ['I7']],
  ])('sees %s', async (_, sql, invariants) => {
    const tables = [
      'ledger.posting',
      'ledger.withdrawal',
      'ledger.award',
      'allotment.slice',
      'allotment.line',
      'control.phase',
    ];
    for (const table of tables)
      await client.query(`CREATE TABLE public.kept_${table.replace('.', '_')} AS TABLE ${table}`);
    try {
      expect((await client.query(sql)).rowCount).toBeGreaterThan(0);
      expect(await found()).toEqual(expect.arrayContaining(invariants));
    } finally {
      for (const table of tables) {
        const kept = `public.kept_${table.replace('.', '_')}`;
        await client.query(`DELETE FROM ${table}`);
        await client.query(`INSERT INTO ${table} TABLE ${kept}`);
        await client.query(`DROP TABLE ${kept}`);
      }
    }
  });

  it('sees caps that were passed under two ids of one person, once these were joined', async () => {
    const { rows } = await client.query<{ act_id: string; packets: number }>(
      "SELECT act_id, count(*)::int AS packets FROM ledger.posting WHERE act_id > 0 AND split_part(ref, '_', 4) <> '' GROUP BY act_id ORDER BY packets DESC, act_id LIMIT 2",
    );
    const most = rows[0]!.packets;
    const [elder, younger] = rows.map(({ act_id }) => BigInt(act_id)).toSorted((a, b) => (a < b ? -1 : 1));
    const overCaps = async () => {
      const { findings } = await night.audit(night.dataFolder, true);
      return findings.filter(({ what }) => what === 'a person has more packets than allowed');
    };
    const { rows: kept } = await client.query<{ source: string }>('SELECT source FROM control.campaign');
    try {
      const limited = kept[0]!.source.replace('packets: 40', `packets: ${most}`);
      await client.query('UPDATE control.campaign SET source = $1', [limited]);
      expect(await overCaps()).toEqual([]);
      const join = 'INSERT INTO control.alias (act_id, root_act_id, joined_at) VALUES ($1, $2, $3)';
      // After all that they have won: both may keep it.
      await client.query(join, [younger, elder, new Date()]);
      expect(await overCaps()).toEqual([]);
      await client.query('DELETE FROM control.alias');
      await client.query(join, [younger, elder, new Date(0)]);
      expect(await overCaps()).toMatchObject([
        { invariant: 'I4', where: expect.stringContaining(`/${elder}+${younger}`) },
      ]);
    } finally {
      await client.query('DELETE FROM control.alias');
      await client.query('UPDATE control.campaign SET source = $1', [kept[0]!.source]);
    }
    expect(await found()).toEqual([]);
  });

  it('sees what downstreams handed out twice, and what they have forgotten', async () => {
    const file = path.join(night.dataFolder, 'award-sandbox', 'pieces.jsonl');
    const whole = readFileSync(file, 'utf8');
    try {
      writeFileSync(file, `${whole}${whole.trimEnd().split('\n').at(-1)}\n`);
      expect(await found()).toEqual(['I1']);
      writeFileSync(file, '');
      expect(await found()).toEqual(['I2']);
    } finally {
      writeFileSync(file, whole);
    }
    expect(await found()).toEqual([]);
  });

  it.each([
    ['a flipped bit in the journal', 'format', flipBit],
    ['a journal that lost its end', 'I8', (bytes: Buffer) => bytes.subarray(0, 700)],
  ])('sees %s', async (_, invariant, damage) => {
    const journal = path.join(night.dataFolder, 'journal');
    const file = path.join(journal, readdirSync(journal).find((name) => name.endsWith('.seg'))!);
    const whole = readFileSync(file);
    const copy = Buffer.from(whole);
    writeFileSync(file, damage(copy));
    try {
      expect(await found()).toEqual(expect.arrayContaining([invariant]));
    } finally {
      writeFileSync(file, whole);
    }
  });

  it('sees what people were told and is not so', async () => {
    const { historyFile } = night;
    const whole = readFileSync(historyFile, 'utf8');
    writeFileSync(
      historyFile,
      `${whole}{"t":"won","orderNumber":"9_x_1_cash_live","amountFen":1,"tokenHash":"x"}\n{"t":"wallet","person":"p","balanceFen":0,"totalIncomeFen":5}\n{"t":"wallet","person":"p","balanceFen":0,"totalIncomeFen":4}\n{"t":"withdrawn","person":"p","withdrawalId":"none","amountFen":4}\n{"t":"cut off`,
    );
    expect(await found()).toEqual(expect.arrayContaining(['I2', 'I3']));
    writeFileSync(historyFile, whole);
  });
});
