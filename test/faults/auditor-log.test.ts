import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditReport } from '../../rehearsal/audit/index.ts';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { BatchSeal, GrantLog, LogRecord } from '../../src/engines/ports.ts';
import { systemClock } from '../../src/processes/clock.ts';
import { openKeyring, type SealKey } from '../../src/stations/4-seal/keyring.ts';
import { sealBatch } from '../../src/stations/4-seal/seal-batch.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, RainId, SliceId } from '../../src/vocabulary/ids.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';
import { batchOf } from '../support/batches.ts';
import { quiet } from '../support/postgres.ts';
import { NIGHT_WITHIN_MS, playSmallNight, type SmallNight } from '../support/small-night.ts';

/** A slice of five packets, leased as the engine leases them, that nothing was dealt from. */
const LEASE = `
  WITH line AS (
    SELECT phase_key, rain_id FROM allotment.line
    WHERE scene_id = 'fixed' AND rain_id > 0 AND remaining_packets >= 5 ORDER BY rain_id LIMIT 1
  ), moved AS (
    UPDATE allotment.line l SET
      remaining_packets = remaining_packets - 5, remaining_fen = remaining_fen - 440,
      leased_packets = leased_packets + 5, leased_fen = leased_fen + 440
    FROM line WHERE l.phase_key = line.phase_key AND l.scene_id = 'fixed' AND l.rain_id IN (0, line.rain_id)
  )
  INSERT INTO allotment.slice
    (phase_key, scene_id, rain_id, holder, amounts_fen, packets, fen, deal_until_ms, grant_until_ms)
  SELECT phase_key, 'fixed', rain_id, 'test', array_fill(88::bigint, ARRAY[5]), 5, 440, 0, 0 FROM line
  RETURNING slice_id, rain_id`;

/** What can only stand in a log: logs that no healthy engine writes are made of a healthy one, record by record. */
describe('the auditor, reading a log', { timeout: 120_000 }, () => {
  let night: SmallNight;
  let leased: { slice_id: string; rain_id: number };
  beforeAll(async () => {
    night = await playSmallNight({ seed: 2, backlog: true });
    const client = new pg.Client({ connectionString: night.ledgerUrl });
    await client.connect();
    leased = (await client.query(LEASE)).rows[0];
    await client.end();
  }, NIGHT_WITHIN_MS);
  afterAll(() => night?.remove());

  interface Planting {
    readonly log: GrantLog;
    readonly key: SealKey;
    /** The healthy night's records. */
    readonly records: readonly LogRecord[];
    /** Writes the record as it was. */
    again(record: LogRecord): Promise<unknown>;
  }

  /** The night's journal, written anew by `plant`; audited with everything else as it was. */
  async function audited(
    plant: (planting: Planting) => Promise<unknown>,
    history = '',
  ): Promise<AuditReport> {
    const folder = night.copy();
    const journal = path.join(folder, 'journal');
    const records: LogRecord[] = [];
    const whole = await openJournal({ folder: journal, logger: quiet, onRecord: (one) => records.push(one) });
    await whole.close();
    rmSync(journal, { recursive: true });
    mkdirSync(journal);
    const log = await openJournal({ folder: journal, logger: quiet });
    const key = openKeyring(path.join(folder, 'keys'), systemClock).active();
    const again = (record: LogRecord) =>
      record.kind === 'fence' ? log.appendFence(record) : log.append(record);
    await plant({ log, key, records, again });
    await log.close();
    const before = readFileSync(night.historyFile);
    try {
      writeFileSync(night.historyFile, history, { flag: 'a' });
      return await night.audit(folder);
    } finally {
      writeFileSync(night.historyFile, before);
      rmSync(folder, { recursive: true });
    }
  }

  const whatWasFound = (report: AuditReport): string[] => [
    ...new Set(report.findings.map(({ invariant, what }) => `${invariant} ${what}`)),
  ];

  const grantsOf = (records: readonly LogRecord[]) =>
    records.flatMap((one) => (one.kind === 'grants' ? [one] : []));
  const ordersOf = (records: readonly LogRecord[]) => grantsOf(records).flatMap((one) => one.orders);

  /** The same packet, for a person whom nobody has seen. */
  function forStranger(order: Order, person: number): Order {
    const actId = BigInt(900_000_000 + person) as ActId;
    return { ...order, actId, orderNumber: formatOrderNumber({ ...order, actId, stage: order.phaseId }) };
  }

  /** An order for a packet that was leased, and that nobody was given. */
  function unspent(records: readonly LogRecord[]): Order {
    const like = ordersOf(records).find(({ sceneId }) => sceneId === 'fixed')!;
    const unit = { sliceId: BigInt(leased.slice_id) as SliceId, epoch: 1, index: 3 };
    return forStranger({ ...like, rainId: leased.rain_id as RainId, unit }, 1);
  }

  const won = (order: Order): string =>
    `${JSON.stringify({ t: 'won', orderNumber: order.orderNumber, amountFen: Number(order.amountFen), tokenHash: 'x' })}\n`;

  const append = ({ log, key }: Planting, order: Order) => log.append(sealBatch([order], key).batch);

  async function all(planting: Planting): Promise<void> {
    for (const record of planting.records) await planting.again(record);
  }

  it('finds nothing in the same log, written again', async () => {
    const report = await audited(all);
    expect(report.findings).toEqual([]);
    expect(report.checked.seals).toBe(report.checked.orders);
    expect(report.checked.seals).toBeGreaterThan(20);
    expect(report.checked.outstanding).toBeGreaterThan(0);
  });

  it('takes a promise behind its slice’s fence for void: it is neither owed nor dealt', async () => {
    const report = await audited(async (planting) => {
      await all(planting);
      const order = unspent(planting.records);
      await planting.log.appendFence(order.unit);
      await append(planting, order);
      // The packet went back, and somebody else may have it by another slice; here, under the same unit even.
      await append(planting, forStranger(order, 2));
    });
    expect(report.checked.voided).toBe(2);
    expect(report.findings).toEqual([]);
  });

  it('takes a promise before its slice’s fence, and behind another slice’s, for owed', async () => {
    const report = await audited(async (planting) => {
      await all(planting);
      const order = unspent(planting.records);
      await planting.log.appendFence({ sliceId: (order.unit.sliceId + 1_000n) as SliceId, epoch: 9 });
      await append(planting, order);
      await planting.log.appendFence(order.unit);
      await planting.log.appendFence(order.unit);
    });
    expect(report.findings).toEqual([]);
    expect(report.checked.voided).toBe(0);
  });

  it('lets a number that was void be won anew, and takes the one that counts', async () => {
    let order: Order | undefined;
    const report = await audited(async (planting) => {
      await all(planting);
      order = unspent(planting.records);
      const other = ordersOf(planting.records).find(({ unit }) => unit.sliceId !== order!.unit.sliceId)!;
      await planting.log.appendFence(other.unit);
      await append(planting, { ...order, unit: { ...other.unit, index: 0 }, amountFen: 1n as Fen });
      await append(planting, order);
    });
    expect(report.findings).toEqual([]);
  });

  it('sees that somebody was told of a void promise', async () => {
    let told = '';
    const plant = async (planting: Planting) => {
      await all(planting);
      const order = unspent(planting.records);
      await planting.log.appendFence(order.unit);
      await append(planting, order);
      told = won(order);
    };
    expect((await audited(plant)).findings).toEqual([]);
    expect(whatWasFound(await audited(plant, told))).toEqual([
      'I2 somebody was told "won", and the journal does not have it',
    ]);
  });

  it('sees a void promise that was credited', async () => {
    const report = await audited(async (planting) => {
      const [first] = ordersOf(planting.records);
      await planting.log.appendFence(first!.unit);
      await all(planting);
    });
    expect(whatWasFound(report)).toContain('I8 a void order was credited');
  });

  it('sees two promises of one packet, and one number with two contents', async () => {
    const report = await audited(async (planting) => {
      await all(planting);
      const order = unspent(planting.records);
      await append(planting, order);
      await append(planting, order);
      await append(planting, forStranger(order, 2));
      await append(planting, { ...order, drawnAtMs: (order.drawnAtMs + 1) as Order['drawnAtMs'] });
    });
    expect(whatWasFound(report).sort()).toEqual([
      'I1 an order number stands for two things',
      'I5 a packet was dealt twice',
    ]);
  });

  const altered: [string, string, (seal: BatchSeal, others: BatchSeal) => BatchSeal][] = [
    [
      'a seal of another key',
      'seal a batch is sealed under a key that is not there',
      (seal) => ({ ...seal, keyId: seal.keyId + 7 }),
    ],
    [
      'another batch’s signature',
      'seal a batch has a wrong signature',
      (seal, other) => ({ ...seal, signature: other.signature }),
    ],
    [
      'another batch’s token',
      'seal a token can’t be opened',
      (seal, other) => ({ ...seal, ciphertexts: [other.ciphertexts[0]!, ...seal.ciphertexts.slice(1)] }),
    ],
    [
      'a flipped bit in a token',
      'seal a token can’t be opened',
      (seal) => {
        const ciphertext = Buffer.from(seal.ciphertexts[0]!);
        ciphertext.writeUInt8(ciphertext.readUInt8(9) ^ 4, 9);
        return { ...seal, ciphertexts: [ciphertext, ...seal.ciphertexts.slice(1)] };
      },
    ],
    [
      'a nonce that was used before',
      'seal a key has sealed twice under one nonce',
      (seal, other) => ({ ...seal, nonce: other.nonce }),
    ],
  ];
  it.each(altered)('sees %s', async (_, what, alter) => {
    const report = await audited(async (planting) => {
      const [first, second] = grantsOf(planting.records).filter((one) => one.orders.length === 1);
      const { seal, orders, tokens } = second!;
      for (const record of planting.records) {
        if (record.kind === 'grants' && record.seal === seal)
          await planting.log.append({ orders, tokens, seal: alter(seal, first!.seal) });
        else await planting.again(record);
      }
    });
    expect(whatWasFound(report)).toContain(what);
  });

  it('sees a seal of another order than the one beside it', async () => {
    const report = await audited(async (planting) => {
      await all(planting);
      const order = unspent(planting.records);
      const more = { ...order, amountFen: (order.amountFen + 1n) as Fen };
      const { seal } = sealBatch([more], planting.key).batch;
      await planting.log.append(batchOf([order], seal));
    });
    expect(whatWasFound(report)).toEqual(['seal a token is not of the order beside it']);
  });

  it('sees that the keys are gone', async () => {
    const folder = night.copy();
    rmSync(path.join(folder, 'keys'), { recursive: true });
    expect(whatWasFound(await night.audit(folder))).toEqual([
      'seal the keys can’t be read, so no seal can be opened',
    ]);
  });
});
