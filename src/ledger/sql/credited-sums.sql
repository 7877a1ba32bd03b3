-- What this database has credited in all, by phase: the sum of its slices' legs, which stay where they were credited
-- and are one for each slice and batch, so that a hundred million credits are some hundred thousand of them.
-- Returns phase_key, packets bigint, fen bigint: money only, told by the leg's ref, "<batch>:money". Legs of before
-- refs said so count as packets and not as money: too little, never too much.
-- Locks nothing. Example: 2,000 credits of money and 500 pieces in phase 2 give (2, 2500, <the money>).
SELECT phase_key, sum(slice_index)::bigint AS packets,
  coalesce(-sum(amount_fen) FILTER (WHERE ref LIKE '%:money'), 0)::bigint AS fen
FROM ledger.posting WHERE act_id < 0 AND purse = 3
GROUP BY phase_key
