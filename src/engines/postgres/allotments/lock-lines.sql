-- The lines that a slice of this scene and round moves, locked in key order (levels first: '/' stands before letters).
-- $1 phase_key, $2 scene_id, $3 rain_id (0: no round), $4 the levels that the scene was seen to name.
SELECT scene_id, rain_id, rule, levels, packet_cap_fen, remaining_packets, remaining_fen, leased_packets, leased_fen
FROM allotment.line
WHERE phase_key = $1
  AND ((scene_id = $2 AND rain_id IN (0, $3)) OR (rain_id = 0 AND scene_id = ANY ($4::text[])))
ORDER BY scene_id, rain_id FOR UPDATE
