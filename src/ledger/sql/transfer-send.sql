-- First step: a wallet's money goes into the same account's purse 7, "on its way", where nobody spends it.
-- $1 act_id bigint, $2 phase_key int4, $3 ref text (transfer:<from>:<to>:<number>), $4 amount bigint, $5 at ms bigint.
-- Under the accounts' locks (transfer-lock.sql); the ref is new.
WITH taken AS (
  UPDATE ledger.account SET balance_fen = balance_fen - $4::bigint
  WHERE act_id = $1 AND phase_key = $2 AND purse = 1
), kept AS (
  INSERT INTO ledger.account AS a (act_id, phase_key, purse, balance_fen) VALUES ($1, $2, 7, $4::bigint)
  ON CONFLICT (act_id, phase_key, purse) DO UPDATE SET balance_fen = a.balance_fen + excluded.balance_fen
)
INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
VALUES ($1, $2, 1, $3, -$4::bigint, $5), ($1, $2, 7, $3, $4::bigint, $5)
