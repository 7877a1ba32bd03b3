-- The ledger: double entry in fen. Every key begins with the account, so that a shard holds whole accounts.
--
-- An account is (act_id, phase_key, purse):
--   act_id > 0  a person      purse 1 wallet, 2 held for withdrawals under way
--   act_id < 0  a slice       purse 3 funding: act_id = -slice_id; what the slice has given is the sum of its postings
--   act_id = 0  the outside   purse 4 paid out
-- Only people have balance rows. A system account's balance is the sum of its postings: a row that every batch
-- updates would be a lock that every batch waits for.
--
-- Lock order, everywhere: postings by (act_id, phase_key, purse, ref), then accounts by (act_id, phase_key, purse).
CREATE SCHEMA IF NOT EXISTS ledger;

CREATE TABLE ledger.posting (
  act_id      bigint   NOT NULL,
  amount_fen  bigint   NOT NULL,
  at_ms       bigint   NOT NULL, -- when the packet was drawn, or the withdrawal moved; ms since 1970 UTC
  slice_id    bigint,            -- of a credit: the unit that pays for it
  phase_key   int4     NOT NULL,
  slice_epoch int4,
  slice_index int4,              -- of a funding posting: the number of orders that it pays for
  purse       int2     NOT NULL,
  ref         text     COLLATE "C" NOT NULL, -- a credit's order number; a batch's id; <withdrawal>:hold|paid|returned
  PRIMARY KEY (act_id, phase_key, purse, ref)
);

CREATE TABLE ledger.account (
  act_id      bigint NOT NULL,
  balance_fen bigint NOT NULL CHECK (balance_fen >= 0),
  income_fen  bigint NOT NULL DEFAULT 0 CHECK (income_fen >= 0), -- all credits ever; of purse 1
  phase_key   int4   NOT NULL,
  purse       int2   NOT NULL,
  PRIMARY KEY (act_id, phase_key, purse)
) WITH (fillfactor = 80); -- room for updates in place: no index entry changes

CREATE TABLE ledger.withdrawal (
  act_id          bigint NOT NULL,
  phase_key       int4   NOT NULL,
  id              uuid   NOT NULL,
  amount_fen      bigint NOT NULL CHECK (amount_fen > 0),
  state           text   NOT NULL CHECK (state IN ('held', 'paying', 'paid', 'returned')),
  idempotency_key text   COLLATE "C" NOT NULL,
  payload_hash    bytea  NOT NULL,
  requested_at_ms bigint NOT NULL,
  settled_at_ms   bigint,
  PRIMARY KEY (act_id, phase_key, id),
  UNIQUE (act_id, phase_key, idempotency_key)
);
CREATE INDEX withdrawal_unsettled ON ledger.withdrawal (requested_at_ms) WHERE state IN ('held', 'paying');
