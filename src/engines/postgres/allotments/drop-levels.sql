-- Levels of these phases that are set no more go, and scenes that a file no longer has name them no more. The caller has
-- locked all totals. $1 phase_key, $2 the paths that stay text[].
WITH gone AS (
  DELETE FROM allotment.line WHERE phase_key = $1 AND rule = 'level' AND NOT scene_id = ANY ($2::text[])
)
UPDATE allotment.line SET levels = ARRAY(SELECT path FROM unnest(levels) AS path WHERE path = ANY ($2::text[]))
WHERE phase_key = $1 AND rain_id = 0 AND NOT levels <@ $2::text[]
