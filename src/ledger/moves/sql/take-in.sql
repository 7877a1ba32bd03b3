-- Takes in everything of some accounts (rows-of.sql). $1 postings, $2 withdrawals, $4 awards: JSON texts;
-- $3 the ref of the carried legs, never used before. Returns one row: taken, the postings that were new.
-- Postings never change, so those that are there stay; withdrawals and awards become what they were at the source.
-- The other leg of what is new goes to "carried between shards", so that this shard sums to zero at all times.
-- Under the bucket's row lock (still-mine.sql), in state arriving.
WITH fresh AS (
  INSERT INTO ledger.posting (act_id, amount_fen, at_ms, slice_id, phase_key, slice_epoch, slice_index, purse, ref)
  SELECT r.act_id, r.amount_fen, r.at_ms, r.slice_id, r.phase_key, r.slice_epoch, r.slice_index, r.purse, r.ref
  FROM json_populate_recordset(NULL::ledger.posting, $1::json) r
  ORDER BY r.act_id, r.phase_key, r.purse, r.ref COLLATE "C"
  ON CONFLICT (act_id, phase_key, purse, ref) DO NOTHING
  RETURNING phase_key, amount_fen, at_ms
), carried AS (
  INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
  SELECT 0, f.phase_key, 5, $3, -sum(f.amount_fen), max(f.at_ms) FROM fresh f GROUP BY f.phase_key
), papers AS (
  INSERT INTO ledger.withdrawal AS w
    (act_id, phase_key, id, amount_fen, state, idempotency_key, payload_hash, requested_at_ms, settled_at_ms)
  SELECT r.act_id, r.phase_key, r.id, r.amount_fen, r.state, r.idempotency_key, r.payload_hash, r.requested_at_ms, r.settled_at_ms
  FROM json_populate_recordset(NULL::ledger.withdrawal, $2::json) r ORDER BY r.act_id, r.phase_key, r.id
  ON CONFLICT (act_id, phase_key, id) DO UPDATE SET state = excluded.state, settled_at_ms = excluded.settled_at_ms
), pieces AS (
  INSERT INTO ledger.award AS w (act_id, phase_key, ref, state, tries, due_at_ms, voucher, reason, used_at_ms)
  SELECT r.act_id, r.phase_key, r.ref, r.state, r.tries, r.due_at_ms, r.voucher, r.reason, r.used_at_ms
  FROM json_populate_recordset(NULL::ledger.award, $4::json) r ORDER BY r.act_id, r.phase_key, r.ref COLLATE "C"
  ON CONFLICT (act_id, phase_key, ref) DO UPDATE
    SET state = excluded.state, tries = excluded.tries, due_at_ms = excluded.due_at_ms, voucher = excluded.voucher,
      reason = excluded.reason, used_at_ms = excluded.used_at_ms
)
SELECT count(*)::int4 AS taken FROM fresh
