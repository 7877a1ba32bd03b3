-- Which buckets of people this database holds, when it is one shard of several (docs/decisions/0009). The truth about
-- ownership stands here, beside the money, and not in any process's map: every writer of people's accounts calls
-- ledger.guard_write in its own transaction, every reader ledger.guard_read in its own snapshot.
--
-- A bucket's states on one shard:  (no row, gone) ─arriving─▶ held ─leaving─▶ gone
--   arriving  a mover copies it here; nobody reads or writes it
--   held      this shard owns it
--   leaving   this shard owns it; who writes notes the account in ledger.touched, to be copied once more
--   gone      another shard owns it; what still lies here is a copy that is being swept away
--
-- Money that a move carries has its other leg in the account (0, phase, purse 5), "carried between shards": so each
-- shard sums to zero at all times, over all shards purse 5 sums to zero, and what slices gave (purse 3) never moves.
--
-- Lock order: buckets (rising), then slices, then rows as in 0001.

-- One row in a shard, none in a ledger that is alone.
CREATE TABLE ledger.shard (
  alone   boolean PRIMARY KEY DEFAULT true CHECK (alone),
  name    text    NOT NULL,
  buckets int4    NOT NULL CHECK (buckets > 0) -- of the whole cluster; fixed for its life
);

CREATE TABLE ledger.bucket (
  bucket            int4   PRIMARY KEY CHECK (bucket >= 0),
  state             text   NOT NULL CHECK (state IN ('arriving', 'held', 'leaving', 'gone')),
  epoch             bigint NOT NULL, -- of the move that brought it to this state; 0 when the cluster was founded
  mover             uuid,            -- who moves it now: an earlier mover that wakes up changes nothing
  reached_act_id    bigint NOT NULL DEFAULT 0, -- the mover's place in the accounts, copied (or swept) up to here
  reached_phase_key int4   NOT NULL DEFAULT 0
);

CREATE TABLE ledger.touched (
  entry     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  bucket    int4   NOT NULL,
  act_id    bigint NOT NULL,
  phase_key int4   NOT NULL
);

-- For writers. wanted_buckets: the cluster's count, null for a ledger that is alone; wanted: the buckets that the
-- transaction writes, rising; act_ids and phase_keys: its accounts, of one length. Raises HB001 when this database
-- does not hold all of them. The shared locks last until the transaction ends, and who hands a bucket over takes the
-- exclusive one. VOLATILE: after waiting for the lock, each statement here sees what was committed meanwhile.
CREATE FUNCTION ledger.guard_write(wanted_buckets int4, wanted int4[], act_ids bigint[], phase_keys int4[])
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  here    int4;
  leaving int4[];
BEGIN
  IF wanted_buckets IS NULL THEN
    PERFORM pg_advisory_xact_lock_shared(179415, -1);
    IF EXISTS (SELECT 1 FROM ledger.shard) THEN
      RAISE EXCEPTION 'bucket-moved: this database is one shard of several' USING ERRCODE = 'HB001';
    END IF;
    RETURN true;
  END IF;
  FOR at IN 1 .. cardinality(wanted) LOOP
    PERFORM pg_advisory_xact_lock_shared(179415, wanted[at]);
  END LOOP;
  SELECT count(*), array_agg(b.bucket) FILTER (WHERE b.state = 'leaving') INTO here, leaving
  FROM ledger.bucket b
  WHERE b.bucket = ANY (wanted) AND b.state IN ('held', 'leaving')
    AND wanted_buckets = (SELECT s.buckets FROM ledger.shard s);
  IF here <> cardinality(wanted) THEN
    RAISE EXCEPTION 'bucket-moved: this shard does not hold bucket %', wanted USING ERRCODE = 'HB001';
  END IF;
  IF leaving IS NOT NULL THEN
    INSERT INTO ledger.touched (bucket, act_id, phase_key)
    SELECT DISTINCT (account.act_id % wanted_buckets)::int4, account.act_id, account.phase_key
    FROM unnest(act_ids, phase_keys) AS account (act_id, phase_key)
    WHERE (account.act_id % wanted_buckets)::int4 = ANY (leaving);
  END IF;
  RETURN true;
END $$;

-- For readers, in the WHERE clause of the one statement that reads. STABLE: it looks with that statement's snapshot,
-- so either the bucket was held at that moment and everything of it is seen, or HB001 is raised.
CREATE FUNCTION ledger.guard_read(wanted_buckets int4, wanted int4)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF wanted_buckets IS NULL THEN
    IF EXISTS (SELECT 1 FROM ledger.shard) THEN
      RAISE EXCEPTION 'bucket-moved: this database is one shard of several' USING ERRCODE = 'HB001';
    END IF;
  ELSIF NOT EXISTS (
    SELECT 1 FROM ledger.bucket b, ledger.shard s
    WHERE b.bucket = wanted AND b.state IN ('held', 'leaving') AND s.buckets = wanted_buckets
  ) THEN
    RAISE EXCEPTION 'bucket-moved: this shard does not hold bucket %', wanted USING ERRCODE = 'HB001';
  END IF;
  RETURN true;
END $$;

-- The buckets that this shard owns, rising; null for a ledger that is alone.
CREATE FUNCTION ledger.held_buckets() RETURNS int4[] LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN EXISTS (SELECT 1 FROM ledger.shard) THEN
    ARRAY(SELECT bucket FROM ledger.bucket WHERE state IN ('held', 'leaving') ORDER BY bucket)
  END
$$;
