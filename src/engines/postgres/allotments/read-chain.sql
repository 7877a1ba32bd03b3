-- The lines that a slice of this scene and round moves, unlocked, and how many hold a slice of each, the asker included:
-- the round's, the scene's total, the levels it names. $1 phase_key, $2 scene_id, $3 rain_id (0: no round), $4 holder.
WITH own AS (
  SELECT levels FROM allotment.line WHERE phase_key = $1 AND scene_id = $2 AND rain_id = 0
), held AS (
  SELECT s.holder, s.scene_id, s.rain_id, l.levels
  FROM allotment.slice AS s
  JOIN allotment.line AS l ON l.phase_key = s.phase_key AND l.scene_id = s.scene_id AND l.rain_id = 0
  WHERE s.phase_key = $1 AND s.state = 'open' AND NOT s.tail_is_back AND s.holder <> $4
    AND (s.scene_id = $2 OR l.levels && (SELECT levels FROM own))
)
SELECT l.scene_id, l.rain_id, l.levels, (
  SELECT 1 + count(DISTINCT h.holder) FROM held AS h
  WHERE (h.scene_id = l.scene_id AND l.rain_id IN (0, h.rain_id)) OR l.scene_id = ANY (h.levels)
)::int4 AS holders
FROM allotment.line AS l
WHERE l.phase_key = $1
  AND ((l.scene_id = $2 AND l.rain_id IN (0, $3)) OR (l.rain_id = 0 AND l.scene_id = ANY (SELECT unnest(levels) FROM own)))
