-- Every slice that is fenced here, as two arrays of one length.
SELECT coalesce(array_agg(slice_id), '{}')::text AS slice_ids, coalesce(array_agg(epoch), '{}')::text AS epochs
FROM ledger.slice_fence
