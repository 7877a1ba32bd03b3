-- The accounts between which a transfer leaves, in the order in which everybody locks them.
-- $1 act_id bigint, $2 phase_key int4. Returns one row: the wallet's balance_fen; none when there never was a wallet.
SELECT a.balance_fen FROM (
  SELECT purse, balance_fen FROM ledger.account
  WHERE act_id = $1 AND phase_key = $2 AND purse IN (1, 7) ORDER BY purse FOR UPDATE
) AS a WHERE a.purse = 1
