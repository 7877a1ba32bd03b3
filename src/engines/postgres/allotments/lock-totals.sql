-- Every total of these phases, scenes' and levels', locked in the order of everybody. $1 phase_key int4[].
SELECT scene_id FROM allotment.line
WHERE phase_key = ANY ($1::int4[]) AND rain_id = 0 ORDER BY scene_id, rain_id, phase_key FOR UPDATE
