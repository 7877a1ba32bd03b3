-- A balance is the sum of its postings, and nothing else: no row is kept for it. Crediting then writes one row where it
-- wrote two, at one random place of the database instead of three, and a balance that is not its postings can't be.
-- A person has few postings, all side by side in the key, so a wallet's sum costs what its records cost (decision 2).
--
-- Nothing but credits may be posted to a person's purse 1 or 2 without ledger.lock_account in the same transaction,
-- before the balance is read: credits only add, so whoever takes must only keep others who take away.
--
-- Lock order, everywhere: buckets, slices, withdrawals, postings by (act_id, phase_key, purse, ref), then accounts.
DROP TABLE ledger.account;

CREATE VIEW ledger.account AS
SELECT act_id, phase_key, purse,
  sum(amount_fen)::bigint AS balance_fen,
  coalesce(sum(amount_fen) FILTER (WHERE purse = 1 AND slice_id IS NOT NULL), 0)::bigint AS income_fen -- all credits ever
FROM ledger.posting
WHERE act_id > 0
GROUP BY act_id, phase_key, purse;

-- One at a time takes from this account; until the transaction ends. Two accounts that share a lock only wait.
CREATE FUNCTION ledger.lock_account(act_id bigint, phase_key int4) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(hashint8extended($1, 179416 + $2))
$$;
