-- Makes a level's line, or sets its total; what it has leased and given is the sum over the scenes that name it now.
-- The caller has locked all totals of the phase. A total below that sum breaks the CHECK on remaining (23514).
-- $1 phase_key, $2 path, $3 total packets, $4 total fen.
INSERT INTO allotment.line
  (phase_key, scene_id, rain_id, rule, packet_cap_fen, total_packets, total_fen, remaining_packets, remaining_fen,
   leased_packets, leased_fen, given_packets, given_fen)
SELECT $1::int4, $2::text, 0, 'level', 0, $3::int8, $4::bigint,
  $3::int8 - below.leased_packets - below.given_packets, $4::bigint - below.leased_fen - below.given_fen,
  below.leased_packets, below.leased_fen, below.given_packets, below.given_fen
FROM (
  SELECT
    coalesce(sum(leased_packets), 0)::int8 AS leased_packets, coalesce(sum(leased_fen), 0)::int8 AS leased_fen,
    coalesce(sum(given_packets), 0)::int8 AS given_packets, coalesce(sum(given_fen), 0)::int8 AS given_fen
  FROM allotment.line WHERE phase_key = $1 AND rain_id = 0 AND $2 = ANY (levels)
) AS below
ON CONFLICT (phase_key, scene_id, rain_id) DO UPDATE SET
  total_packets = excluded.total_packets, total_fen = excluded.total_fen,
  remaining_packets = excluded.remaining_packets, remaining_fen = excluded.remaining_fen,
  leased_packets = excluded.leased_packets, leased_fen = excluded.leased_fen,
  given_packets = excluded.given_packets, given_fen = excluded.given_fen
