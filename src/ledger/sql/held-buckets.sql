-- The buckets that this database owns, rising; null when it is a ledger that is alone.
SELECT ledger.held_buckets() AS held
