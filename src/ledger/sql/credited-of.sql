-- Every order that is credited to each of many accounts, pieces too, by the account's place (from 1) and then as they
-- were drawn. Only a credit has a slice: what withdrawals and transfers post in purse 1 is none, and moves none away.
-- $1 act_id bigint[], $2 phase_key int4[], of one length; $3 count of buckets int4 (null: a ledger that is alone),
-- $4 their buckets int4[] ({null}: alone). Raises HB001 when one is not held here. Amounts in fen, times in ms since
-- 1970 UTC. Locks nothing: one statement, of one moment. One search of the primary key for each account, whatever is
-- known of the table: 1,000 accounts with 3 orders each, among 600,000 postings, take 6 to 11 ms on Postgres 18.
-- Example: {7,8,7} in phases {3,3,3} gives the orders of account 7 at places 1 and 3, and none at 2 if 8 has none.
SELECT a.place::int4, p.ref, p.amount_fen, p.at_ms, p.slice_id, p.slice_epoch, p.slice_index
FROM unnest($1::bigint[], $2::int4[]) WITH ORDINALITY AS a (act_id, phase_key, place)
JOIN ledger.posting p
  ON p.act_id = a.act_id AND p.phase_key = a.phase_key AND p.purse IN (1, 6) AND p.slice_id IS NOT NULL
WHERE (SELECT bool_and(ledger.guard_read($3::int4, asked.bucket)) FROM unnest($4::int4[]) AS asked (bucket))
ORDER BY a.place, p.at_ms, p.ref
