-- Fences a slice's leases up to an epoch. $1 slice_id bigint, $2 epoch int4.
-- Run under the slice's exclusive advisory lock, so that no credit of it is under way.
INSERT INTO ledger.slice_fence AS f (slice_id, epoch) VALUES ($1, $2)
ON CONFLICT (slice_id) DO UPDATE SET epoch = greatest(f.epoch, excluded.epoch)
