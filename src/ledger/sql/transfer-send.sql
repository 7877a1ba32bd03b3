-- First step: a wallet's money goes into the same account's purse 7, "on its way", where nobody spends it.
-- $1 act_id bigint, $2 phase_key int4, $3 ref text (transfer:<from>:<to>:<number>), $4 amount bigint, $5 at ms bigint.
-- The account is locked by the caller, who has read its balance under the lock; the ref is new.
INSERT INTO ledger.posting (act_id, phase_key, purse, ref, amount_fen, at_ms)
VALUES ($1, $2, 1, $3, -$4::bigint, $5), ($1, $2, 7, $3, $4::bigint, $5)
