import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';
import { asFault, type RetryOptions, retryDelayMs } from '../../engines/postgres/retryable.ts';
import type { BucketMove, ShardAddress, ShardMap } from '../../engines/postgres/shard-map/index.ts';
import { RollBack } from '../../engines/postgres/transaction.ts';
import {
  type AccountKey,
  assertStillMine,
  copyAccounts,
  frozen,
  type Hands,
  lastActId,
  MoveTaken,
  nextAccounts,
} from './hands.ts';
import claimSourceSql from './sql/claim-source.sql';
import claimTargetSql from './sql/claim-target.sql';
import fencesSql from './sql/fences.sql';
import forgetTouchedSql from './sql/forget-touched.sql';
import reachedSql from './sql/reached.sql';
import setStateSql from './sql/set-state.sql';
import takeFencesSql from './sql/take-fences.sql';
import touchedSql from './sql/touched.sql';
import { sweepSource } from './sweep.ts';

export type MoveStep = 'claimed' | 'copied' | 'caught-up' | 'handed-over' | 'taken-over' | 'placed' | 'swept';

export interface MoverOptions {
  readonly map: ShardMap;
  /** A pool to a shard; the caller closes it. */
  readonly poolOf: (shard: ShardAddress) => Pool;
  readonly retry: RetryOptions;
  readonly logger: Logger;
  /** How many accounts a step copies or sweeps. */
  readonly accountsPerStep?: number;
  /** Heard after each step, and each page of one. What it throws breaks the move off, as a crash would. */
  readonly onStep?: (step: MoveStep) => void | Promise<void>;
}

const ACCOUNTS_PER_STEP = 2_000;
/** While the bucket is frozen at most so many pages of touched accounts are copied; else once more without freezing. */
const FROZEN_PAGES = 4;
/** So many pages are copied before trying to freeze, even when writers touch more meanwhile. */
const CATCH_UP_PAGES_MAX = 20;
/** The same account is often noted many times: so many notes for each account of a step are taken at once. */
const NOTES_PER_ACCOUNT = 2;

/**
 * Moves a bucket to a shard while everything goes on; writers of this bucket wait for the moment of the hand-over.
 * May be broken off at any instant and called again: it finds where it was. Returns false when the bucket lay there
 * already. Throws MoveTaken when another call took the same move over, and RetryableFault when a shard stays away.
 */
export async function moveBucket(options: MoverOptions, bucket: number, target: string): Promise<boolean> {
  const move = await options.map.beginMove(bucket, target);
  if (!move) return false;
  for (let tried = 1; ; tried += 1) {
    try {
      await attempt(options, move);
      options.logger.info({ bucket, source: move.source, target }, 'a bucket was moved to another shard');
      return true;
    } catch (error) {
      const delayMs = retryDelayMs(error);
      if (delayMs === undefined || tried >= options.retry.tries) throw asFault(error);
      options.logger.warn({ bucket, target, reason: (error as Error).message }, 'a move is taken up again');
      await options.retry.sleepMs(delayMs);
    }
  }
}

async function attempt(options: MoverOptions, move: BucketMove): Promise<void> {
  const hands = await takeUp(options, move);
  const heard = async (step: MoveStep) => options.onStep?.(step);
  const target = await claim(hands.to, hands, claimTargetSql);
  const source = await claim(hands.from, hands, claimSourceSql);
  await heard('claimed');
  if (source.state === 'leaving') {
    await copyAll(hands, target, () => heard('copied'));
    await handOver(hands, () => heard('caught-up'));
    await heard('handed-over');
  }
  if (target.state === 'arriving') await setState(hands.to, hands, 'arriving', 'held');
  await heard('taken-over');
  await options.map.placed(move);
  await heard('placed');
  await sweepSource(hands, () => heard('swept'));
  await options.map.finishMove(move);
}

async function takeUp(options: MoverOptions, move: BucketMove): Promise<Hands> {
  const plan = (await options.map.read())!;
  const poolOf = (name: string) => options.poolOf(plan.shards.find((shard) => shard.name === name)!);
  return {
    move,
    buckets: plan.buckets,
    from: poolOf(move.source),
    to: poolOf(move.target),
    mover: randomUUID(),
    accountsPerStep: options.accountsPerStep ?? ACCOUNTS_PER_STEP,
  };
}

interface Claimed {
  readonly state: 'arriving' | 'held' | 'leaving' | 'gone';
  readonly reached_act_id: bigint;
  readonly reached_phase_key: number;
}

function claim(pool: Pool, { move, mover }: Hands, sql: string): Promise<Claimed> {
  return frozen(pool, move.bucket, async (client) => {
    const { rows } = await client.query<Claimed>(sql, [move.bucket, move.epoch, mover]);
    if (!rows[0])
      throw new Error(
        `bucket ${move.bucket} can't move from ${move.source} to ${move.target}: a shard disagrees`,
      );
    return rows[0];
  });
}

/**
 * Copies account by account in key order. What is written behind the copy's back is noted by its writers, and so are
 * people who come meanwhile: the copy ends where the last one stood when it began, or it would run after them.
 */
async function copyAll(hands: Hands, from: Claimed, onPage: () => Promise<void>): Promise<void> {
  await copyFences(hands.from, hands);
  const end = await lastActId(hands.from);
  let last: AccountKey = { act_id: from.reached_act_id, phase_key: from.reached_phase_key };
  for (;;) {
    const accounts = await nextAccounts(hands.from, hands, last, end);
    if (accounts.length === 0) return;
    last = accounts.at(-1)!;
    await copyAccounts(hands.from, hands, accounts, (client) =>
      client.query(reachedSql, [hands.move.bucket, last.act_id, last.phase_key]),
    );
    await onPage();
  }
}

/**
 * Until little is left without freezing anybody, then the rest and the ownership while the bucket is frozen. Where
 * writers are faster than the copy, each turn may freeze for twice as many pages, so that it ends.
 */
async function handOver(hands: Hands, onPage: () => Promise<void>): Promise<void> {
  for (let pagesMax = FROZEN_PAGES; ; pagesMax *= 2) {
    for (let page = 1; page <= CATCH_UP_PAGES_MAX; page += 1) {
      const copied = await copyTouched(hands.from, hands);
      await onPage();
      if (copied < notesPerPage(hands)) break;
    }
    const done = await frozen(hands.from, hands.move.bucket, async (client) => {
      await assertStillMine(client, hands, 'leaving');
      for (let page = 1; (await copyTouched(client, hands)) > 0; page += 1)
        if (page === pagesMax) throw new RollBack(false);
      await copyFences(client, hands);
      await setState(client, hands, 'leaving', 'gone');
      return true;
    });
    if (done) return;
  }
}

const notesPerPage = (hands: Hands): number => hands.accountsPerStep * NOTES_PER_ACCOUNT;

/** The note is forgotten after the copy, so a note is never lost. Returns how many there were, at most a page. */
async function copyTouched(source: Pool | PoolClient, hands: Hands): Promise<number> {
  const { rows } = await source.query<AccountKey & { entry: bigint }>(touchedSql, [
    hands.move.bucket,
    notesPerPage(hands),
  ]);
  if (rows.length === 0) return 0;
  const distinct = new Map(rows.map((row) => [`${row.act_id}/${row.phase_key}`, row]));
  await copyAccounts(source, hands, [...distinct.values()]);
  await source.query(forgetTouchedSql, [rows.map((row) => row.entry)]);
  return rows.length;
}

async function copyFences(source: Pool | PoolClient, hands: Hands): Promise<void> {
  const { rows } = await source.query<{ slice_ids: string; epochs: string }>(fencesSql);
  await hands.to.query(takeFencesSql, [rows[0]!.slice_ids, rows[0]!.epochs]);
}

async function setState(
  db: Pool | PoolClient,
  { move, mover }: Hands,
  from: Claimed['state'],
  to: Claimed['state'],
): Promise<void> {
  const { rowCount } = await db.query(setStateSql, [move.bucket, move.epoch, mover, from, to]);
  if (rowCount !== 1) throw new MoveTaken(`bucket ${move.bucket} is moved by somebody else now`);
}
