-- The fences among these slices. $1 slice ids bigint[].
SELECT slice_id, epoch FROM ledger.slice_fence WHERE slice_id = ANY ($1::bigint[])
