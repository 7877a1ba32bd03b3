import type { PoolClient } from 'pg';
import type { Account } from '../engines/ports.ts';
import { transaction } from '../engines/postgres/transaction.ts';
import { BrokenInvariant } from '../protocol/failures.ts';
import { type Fen, fen } from '../vocabulary/fen.ts';
import { type ActId, type PhaseKey, parseActId } from '../vocabulary/ids.ts';
import type { InstantMs } from '../vocabulary/instant.ts';
import { type Base, guardWrite, lockAccount } from './partition.ts';
import fundedAmongSql from './sql/funded-among.sql';
import arrivedSql from './sql/transfer-arrived.sql';
import receiveSql from './sql/transfer-receive.sql';
import sendSql from './sql/transfer-send.sql';
import standingSql from './sql/transfer-standing.sql';

/** Money that left one person's wallet for another's, of the same phase. */
export interface Transfer {
  /** `transfer:<from>:<to>:<number>`: the same in both wallets, and no order number or withdrawal looks like it. */
  readonly ref: string;
  readonly from: ActId;
  readonly to: ActId;
  readonly phaseKey: PhaseKey;
  readonly amountFen: Fen;
  readonly atMs: InstantMs;
}

/** A transfer's three steps. Each is one transaction in one database, and may be done again. */
export interface TransferSteps {
  /**
   * Takes all that is in the wallet on its way to `to`. When an earlier transfer of this account has not arrived yet it
   * is given instead, wherever it goes; undefined when there is nothing to move.
   */
  sendAll(from: Account, to: ActId, atMs: InstantMs): Promise<Transfer | undefined>;
  receive(transfer: Transfer): Promise<void>;
  arrived(transfer: Transfer): Promise<void>;
}

/**
 * Moves what a wallet holds to another person's. The two may lie in different databases, so it takes three steps, and
 * whoever comes next finishes what a crash broke off: the amount stands in the sender's purse 7 until it has arrived.
 * Gives what arrived.
 */
export async function moveBalance(
  steps: TransferSteps,
  from: Account,
  to: ActId,
  atMs: InstantMs,
): Promise<Fen> {
  let moved = 0n;
  for (;;) {
    const transfer = await steps.sendAll(from, to, atMs);
    if (!transfer) return fen(moved);
    await steps.receive(transfer);
    await steps.arrived(transfer);
    moved += transfer.amountFen;
  }
}

export const transfersOn = (base: Base): TransferSteps => ({
  sendAll: (from, to, atMs) => sendAll(base, from, to, atMs),
  receive: (transfer) => book(base, transfer, transfer.to, receiveSql),
  arrived: (transfer) => book(base, transfer, transfer.from, arrivedSql),
});

const sendAll = (base: Base, from: Account, to: ActId, atMs: InstantMs): Promise<Transfer | undefined> =>
  transaction(base.pool, async (client) => {
    await guardWrite(client, base.buckets, [from]);
    await lockAccount(client, from);
    const { amountFen, left, standing } = await standingOf(client, from);
    if (standing || amountFen === 0n) return standing;
    const ref = `transfer:${from.actId}:${to}:${left + 1}`;
    await client.query(sendSql, [from.actId, from.phaseKey, ref, amountFen, atMs]);
    return { ref, from: from.actId, to, phaseKey: from.phaseKey, amountFen, atMs };
  });

async function standingOf(
  client: PoolClient,
  from: Account,
): Promise<{ readonly amountFen: Fen; readonly left: number; readonly standing: Transfer | undefined }> {
  const { rows } = await client.query<{
    balance_fen: Fen;
    left: number;
    ref: string | null;
    amount_fen: Fen;
    at_ms: bigint;
  }>(standingSql, [from.actId, from.phaseKey]);
  const { balance_fen: amountFen, left, ref, amount_fen, at_ms } = rows[0]!;
  if (ref === null) return { amountFen, left, standing: undefined };
  const to = parseActId(ref.split(':')[2]);
  if (!to) throw new BrokenInvariant('I6', `a transfer of ${from.actId} goes to nobody`);
  const atMs = Number(at_ms) as InstantMs;
  return {
    amountFen,
    left,
    standing: { ref, from: from.actId, to, phaseKey: from.phaseKey, amountFen: amount_fen, atMs },
  };
}

const book = (base: Base, transfer: Transfer, actId: ActId, sql: string): Promise<void> =>
  transaction(base.pool, async (client) => {
    const { phaseKey, ref, amountFen, atMs } = transfer;
    await guardWrite(client, base.buckets, [{ actId, phaseKey }]);
    await client.query(sql, [actId, phaseKey, ref, amountFen, atMs]);
  });

export async function fundedAmong({ pool }: Base, actIds: readonly ActId[]): Promise<readonly Account[]> {
  const { rows } = await pool.query<{ act_id: ActId; phase_key: PhaseKey }>(fundedAmongSql, [actIds]);
  return rows.map((row) => ({ actId: row.act_id, phaseKey: row.phase_key }));
}
