-- Fences what is fenced where a bucket comes from. $1 slice_id bigint[], $2 epoch int4[], of one length.
INSERT INTO ledger.slice_fence AS f (slice_id, epoch)
SELECT o.slice_id, o.epoch FROM unnest($1::bigint[], $2::int4[]) AS o (slice_id, epoch)
WHERE NOT EXISTS (SELECT 1 FROM ledger.slice_fence known WHERE known.slice_id = o.slice_id AND known.epoch >= o.epoch)
ORDER BY o.slice_id
ON CONFLICT (slice_id) DO UPDATE SET epoch = greatest(f.epoch, excluded.epoch)
