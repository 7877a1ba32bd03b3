-- Scenes' totals of a phase and the levels above them, of one moment; no rounds. $1 phase_key, $2 scene_id text[].
-- A row a line, `of_scene` says whose chain it stands in.
SELECT scene.scene_id AS of_scene, l.scene_id, l.total_packets, l.total_fen, l.remaining_packets, l.remaining_fen,
  l.leased_packets, l.leased_fen, l.given_packets, l.given_fen
FROM allotment.line AS scene
JOIN allotment.line AS l
  ON l.phase_key = scene.phase_key AND l.rain_id = 0 AND (l.scene_id = scene.scene_id OR l.scene_id = ANY (scene.levels))
WHERE scene.phase_key = $1 AND scene.rain_id = 0 AND scene.scene_id = ANY ($2::text[]) AND scene.rule <> 'level'
