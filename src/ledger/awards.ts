import type { Account, Award, AwardState, Awards } from '../engines/ports.ts';
import { transaction } from '../engines/postgres/transaction.ts';
import { BrokenInvariant } from '../protocol/failures.ts';
import { type AwardEvent, nextAwardState } from '../rules/award-machine.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import type { OrderNumber } from '../vocabulary/order-number.ts';
import { type Base, guardWrite, reads, writes } from './partition.ts';
import changeSql from './sql/award-change.sql';
import claimSql from './sql/award-claim.sql';
import lockSql from './sql/award-lock.sql';
import putOffSql from './sql/award-put-off.sql';
import settleSql from './sql/award-settle.sql';
import deadSql from './sql/awards-dead.sql';
import dueSql from './sql/awards-due.sql';
import dueBehindSql from './sql/awards-due-behind.sql';
import dueOfScenesSql from './sql/awards-due-of-scenes.sql';
import ofSql from './sql/awards-of.sql';
import onTheirWaySql from './sql/awards-on-their-way.sql';
import stuckSql from './sql/awards-stuck.sql';

interface AwardRow {
  readonly act_id: bigint;
  readonly phase_key: number;
  readonly ref: OrderNumber;
  readonly amount_fen: bigint;
  readonly at_ms: bigint;
  readonly state: AwardState;
  readonly tries: number;
  readonly due_at_ms: bigint;
  readonly voucher: string | null;
  readonly reason: string | null;
  readonly used_at_ms: bigint | null;
}

const awardOf = (row: AwardRow): Award => ({
  account: { actId: row.act_id as ActId, phaseKey: row.phase_key as PhaseKey },
  orderNumber: row.ref,
  worthFen: row.amount_fen as Fen,
  state: row.state,
  drawnAtMs: instantMs(Number(row.at_ms)),
  tries: row.tries,
  dueAtMs: instantMs(Number(row.due_at_ms)),
  ...(row.voucher !== null && { voucher: row.voucher }),
  ...(row.reason !== null && { reason: row.reason }),
  ...(row.used_at_ms !== null && { usedAtMs: instantMs(Number(row.used_at_ms)) }),
});

type Columns = Partial<Pick<AwardRow, 'tries' | 'due_at_ms' | 'voucher' | 'reason' | 'used_at_ms'>>;

/** What happened to a piece, and what is written when that leads to another state. */
interface Happening {
  readonly event: AwardEvent;
  readonly write: (row: AwardRow) => Columns;
}

/** Lets something happen to a piece. `fits`: it happened, now or before. `award`: as it is then. */
function happen(
  base: Base,
  account: Account,
  orderNumber: OrderNumber,
  { event, write }: Happening,
): Promise<{ readonly fits: boolean; readonly award: Award | undefined }> {
  return transaction(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [account]);
    const key = [account.actId, account.phaseKey, orderNumber];
    const { rows } = await client.query<AwardRow>(lockSql, key);
    const before = rows[0];
    if (!before) return { fits: false, award: undefined };
    const step = nextAwardState(before.state, event);
    if (step === 'broken')
      throw new BrokenInvariant('I1', `piece ${orderNumber} is ${before.state} and met with ${event}`);
    if (step === 'not-now' || step === 'same') return { fits: step === 'same', award: awardOf(before) };
    const row = { ...before, ...write(before), state: step };
    await client.query(changeSql, [
      ...key,
      row.state,
      row.tries,
      row.due_at_ms,
      row.voucher,
      row.reason,
      row.used_at_ms,
    ]);
    return { fits: true, award: awardOf(row) };
  });
}

const onceMore = (row: AwardRow): Columns => ({ tries: row.tries + 1 });

/** The port on one database; each act may be done again. Not retried here. */
export function awardsOn(base: Base): Awards {
  const { pool } = base;
  const listed = async (text: string, values: unknown[]) =>
    (await pool.query<AwardRow>(text, values)).rows.map(awardOf);
  const awardsOf = (account: Account, orderNumber: OrderNumber | null) =>
    listed(ofSql, [account.actId, account.phaseKey, orderNumber, ...reads(base.buckets, account)]);

  /** One statement on one piece, guarded as all writing is. */
  const written = async <Row extends object>(
    text: string,
    account: Account,
    orderNumber: OrderNumber,
    values: unknown[],
  ) =>
    (
      await pool.query<Row>(text, [
        account.actId,
        account.phaseKey,
        orderNumber,
        ...values,
        ...writes(base.buckets, [account.actId]),
      ])
    ).rows;

  return {
    awards: (account) => awardsOf(account, null),
    award: async (account, orderNumber) => (await awardsOf(account, orderNumber))[0],
    dueAwards: (nowMs, limit, scenes) =>
      scenes
        ? listed(dueOfScenesSql, [
            nowMs,
            limit,
            scenes.map((scene) => scene.phaseKey),
            scenes.map((scene) => scene.sceneId),
          ])
        : listed(dueSql, [nowMs, limit]),
    awardsDueBehind: (afterMs, limit) => listed(dueBehindSql, [afterMs, limit]),
    deadAwards: (after, limit) => listed(deadSql, [after ?? null, limit]),
    stuckAwards: (triesMin, after, limit) => listed(stuckSql, [after ?? null, limit, triesMin]),
    async awardsOnTheirWay(nowMs) {
      const { rows } = await pool.query<{ count: number; due: number; oldest_ms: bigint | null }>(
        onTheirWaySql,
        [nowMs],
      );
      const { count, due, oldest_ms: oldestMs } = rows[0]!;
      return { count, due, ...(oldestMs !== null && { oldestDrawnAtMs: instantMs(Number(oldestMs)) }) };
    },
    async markAsking(account, orderNumber, claim) {
      if (claim) {
        const { dueAtMs, untilMs } = claim;
        const [row] = await written<{ claimed: number }>(claimSql, account, orderNumber, [dueAtMs, untilMs]);
        return row!.claimed === 1;
      }
      const { fits } = await happen(base, account, orderNumber, { event: 'ask', write: () => ({}) });
      return fits;
    },
    async deferAward(account, orderNumber, { dueAtMs, reason, again, asked = true }) {
      await written(putOffSql, account, orderNumber, [dueAtMs, reason, asked ? 1 : 0, again]);
    },
    async settleAward(account, orderNumber, end) {
      const { voucher = null, reason = null } = { voucher: undefined, reason: undefined, ...end };
      const ending = [end.state, voucher, reason];
      const [row] = await written<AwardRow | { ref: null }>(settleSql, account, orderNumber, ending);
      if (row && row.ref !== null) return awardOf(row);
      // It has ended before, or is not there.
      const { award } = await happen(
        base,
        account,
        orderNumber,
        end.state === 'fulfilled'
          ? {
              event: 'handed-out',
              write: (row) => ({ ...onceMore(row), voucher: end.voucher ?? null, reason: null }),
            }
          : { event: 'refused', write: (row) => ({ ...onceMore(row), reason: end.reason }) },
      );
      if (!award) throw new Error(`there is no piece ${orderNumber} to settle`);
      return award;
    },
    async useAward(account, orderNumber, atMs) {
      const { fits, award } = await happen(base, account, orderNumber, {
        event: 'use',
        write: () => ({ used_at_ms: BigInt(atMs) }),
      });
      return fits ? award : undefined;
    },
    async replayAward(account, orderNumber, dueAtMs) {
      const { fits } = await happen(base, account, orderNumber, {
        event: 'replay',
        // Its tries begin anew: by them whoever asks knows how long to wait, and when to give up.
        write: () => ({ due_at_ms: BigInt(dueAtMs), tries: 0 }),
      });
      return fits;
    },
  };
}
