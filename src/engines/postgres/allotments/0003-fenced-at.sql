-- Where a fenced slice's fence stands in the log, so that whoever takes the slice up again need not fence it anew.
ALTER TABLE allotment.slice ADD COLUMN fenced_at bigint[]; -- by bucket: its place in that bucket's log; null: not known
