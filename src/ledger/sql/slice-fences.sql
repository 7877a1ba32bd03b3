-- Every slice that is fenced here, and up to which epoch.
SELECT slice_id, epoch FROM ledger.slice_fence
