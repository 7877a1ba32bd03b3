-- The lines that a slice of this scene and round moves, locked in key order (the scene's total first).
-- $1 phase_key, $2 scene_id, $3 rain_id (0: the total alone).
SELECT rain_id, rule, packet_cap_fen, remaining_packets, remaining_fen
FROM allotment.line WHERE phase_key = $1 AND scene_id = $2 AND rain_id IN (0, $3) ORDER BY rain_id FOR UPDATE
