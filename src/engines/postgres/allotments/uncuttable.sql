-- Those of the asked lines whose rest can't be cut: under 1 fen a packet, over the cap, or pieces not worth just that.
-- $1 phase_key int4[], $2 scene_id text[], $3 rain_id int4[].
SELECT l.scene_id, l.rain_id, l.remaining_packets AS packets, l.remaining_fen AS fen
FROM unnest($1::int4[], $2::text[], $3::int4[]) AS asked (phase_key, scene_id, rain_id)
JOIN allotment.line AS l USING (phase_key, scene_id, rain_id)
WHERE CASE l.rule
  WHEN 'given' THEN false
  WHEN 'piece' THEN l.remaining_fen <> l.remaining_packets * l.packet_cap_fen
  ELSE l.remaining_fen < l.remaining_packets OR l.remaining_fen > l.remaining_packets * l.packet_cap_fen
END
ORDER BY l.scene_id, l.rain_id
