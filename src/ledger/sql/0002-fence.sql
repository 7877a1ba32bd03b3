-- Slices that are closing: what did not come through the log by then is refused (see unlogged.ts).
CREATE TABLE ledger.slice_fence (
  slice_id bigint NOT NULL PRIMARY KEY,
  epoch    int4   NOT NULL
);
