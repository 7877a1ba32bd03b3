-- Makes a budget line, or raises its total. $1 phase_key, $2 scene_id, $3 rain_id, $4 rule, $5 packet cap fen,
-- $6 total packets, $7 total fen, $8 levels (null: as they are), $9 version of the campaign's file (null: whichever). A
-- line that a newer version has set stays as it is. A total below what is leased or given breaks the CHECK on remaining
-- (23514). A level is checked when what its scenes have out is counted (set-level.sql).
INSERT INTO allotment.line AS l
  (phase_key, scene_id, rain_id, rule, packet_cap_fen, total_packets, total_fen, remaining_packets, remaining_fen, levels,
   set_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7, coalesce($8::text[], '{}'), coalesce($9::int4, 0))
ON CONFLICT (phase_key, scene_id, rain_id) DO UPDATE SET
  rule = $4, packet_cap_fen = $5, levels = coalesce($8::text[], l.levels), set_by = coalesce($9::int4, l.set_by),
  remaining_packets = l.remaining_packets + $6 - l.total_packets, total_packets = $6,
  remaining_fen = l.remaining_fen + $7 - l.total_fen, total_fen = $7
WHERE l.set_by <= coalesce($9::int4, l.set_by)
  AND (l.rule, l.packet_cap_fen, l.total_packets, l.total_fen, l.levels, l.set_by)
  IS DISTINCT FROM
    ($4, $5::bigint, $6::int8, $7::bigint, coalesce($8::text[], l.levels), coalesce($9::int4, l.set_by))
