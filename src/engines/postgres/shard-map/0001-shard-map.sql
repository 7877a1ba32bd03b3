-- The plan of the ledger's shards: which there are, and where each bucket of people is meant to lie. The truth about
-- who owns a bucket stands in the shards themselves (ledger.bucket); this says where to look first, and what is being
-- moved, so that a move that was broken off is found and finished.
CREATE SCHEMA IF NOT EXISTS shard_map;

CREATE TABLE shard_map.shard (
  name     text    PRIMARY KEY,
  url      text    NOT NULL,              -- postgres://; leave the password to a pgpass file or a certificate
  place    int4    GENERATED ALWAYS AS IDENTITY,
  enrolled boolean NOT NULL DEFAULT false -- the shard's own database knows that it is one
);

CREATE TABLE shard_map.bucket (
  bucket int4 PRIMARY KEY CHECK (bucket >= 0), -- 0 … count - 1, all of them, from the founding on
  shard  text NOT NULL REFERENCES shard_map.shard
);

CREATE SEQUENCE shard_map.epoch AS bigint;
-- Moves that are not finished; one a bucket. The source is where the bucket lay when the move began.
CREATE TABLE shard_map.move (
  bucket int4   PRIMARY KEY REFERENCES shard_map.bucket,
  source text   NOT NULL REFERENCES shard_map.shard,
  target text   NOT NULL REFERENCES shard_map.shard CHECK (target <> source),
  epoch  bigint NOT NULL UNIQUE DEFAULT nextval('shard_map.epoch')
);
