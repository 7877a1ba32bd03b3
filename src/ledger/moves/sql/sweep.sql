-- Removes everything of some accounts whose bucket is gone from here. $1 act_id bigint[], $2 phase_key int4[] of one
-- length, $3 the ref of the carried legs, never used before. What was theirs is booked as carried away, so that this
-- shard sums to zero at all times. Under the bucket's row lock (still-mine.sql), in state gone.
WITH wanted AS MATERIALIZED (
  SELECT a.act_id, a.phase_key FROM unnest($1::bigint[], $2::int4[]) AS a (act_id, phase_key)
), papers AS (
  DELETE FROM ledger.withdrawal d USING wanted w WHERE d.act_id = w.act_id AND d.phase_key = w.phase_key
), pieces AS (
  DELETE FROM ledger.award d USING wanted w WHERE d.act_id = w.act_id AND d.phase_key = w.phase_key
), swept AS (
  DELETE FROM ledger.posting p USING wanted w WHERE p.act_id = w.act_id AND p.phase_key = w.phase_key
  RETURNING p.phase_key, p.amount_fen, p.at_ms
)
INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
SELECT 0, s.phase_key, 5, $3, sum(s.amount_fen), max(s.at_ms) FROM swept s GROUP BY s.phase_key
