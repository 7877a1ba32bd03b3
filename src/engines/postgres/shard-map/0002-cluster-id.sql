-- Which cluster this is, from its founding on and wherever its database is restored to: a process that was here knows
-- by it whether what its journal holds was promised here.
CREATE TABLE shard_map.cluster (
  id  uuid    NOT NULL DEFAULT gen_random_uuid(),
  one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO shard_map.cluster DEFAULT VALUES;
