import { transaction } from '../../engines/postgres/transaction.ts';
import { BrokenInvariant } from '../../protocol/failures.ts';
import {
  type AccountKey,
  assertStillMine,
  type Hands,
  lastActId,
  nextAccounts,
  rowsOf,
  sweepValues,
} from './hands.ts';
import missingSql from './sql/missing.sql';
import sweepSql from './sql/sweep.sql';

/**
 * Takes away what a handed-over bucket left behind, page by page, and nothing that does not stand at the target with
 * the same content: then it throws BrokenInvariant, and both copies stay for somebody to look at.
 */
export async function sweepSource(hands: Hands, onPage: () => Promise<void>): Promise<void> {
  const end = await lastActId(hands.from);
  let last: AccountKey = { act_id: 0n, phase_key: 0 };
  for (;;) {
    const accounts = await nextAccounts(hands.from, hands, last, end);
    if (accounts.length === 0) break;
    last = accounts.at(-1)!;
    await sweepPage(hands, accounts);
    await onPage();
  }
  await transaction(hands.from, async (client) => {
    // Who wakes up here after the bucket has come back must not forget what is noted for its next move.
    await assertStillMine(client, hands, 'gone');
    await client.query('DELETE FROM ledger.touched WHERE bucket = $1', [hands.move.bucket]);
  });
}

const sweepPage = (hands: Hands, accounts: readonly AccountKey[]): Promise<void> =>
  transaction(hands.from, async (client) => {
    await assertStillMine(client, hands, 'gone');
    const { postings, withdrawals, awards } = await rowsOf(client, accounts);
    const { rows } = await hands.to.query<{ missing: number }>(missingSql, [postings, withdrawals, awards]);
    if (rows[0]!.missing > 0)
      throw new BrokenInvariant(
        'I2',
        `${rows[0]!.missing} rows of bucket ${hands.move.bucket} are not on shard ${hands.move.target}; nothing is swept`,
      );
    await client.query(sweepSql, sweepValues(hands, accounts));
  });
