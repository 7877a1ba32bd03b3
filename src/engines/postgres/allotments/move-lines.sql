-- Moves packets and fen between remaining, leased and given, in a slice's lines, which the caller has locked.
-- $1 phase_key, $2 scene_id, $3 rain_id, $4 levels; $5 packets and $6 fen onto remaining, $7 and $8 onto leased,
-- $9 and $10 onto given. Each triple sums to zero, so the total stays.
UPDATE allotment.line SET
  remaining_packets = remaining_packets + $5, remaining_fen = remaining_fen + $6,
  leased_packets = leased_packets + $7, leased_fen = leased_fen + $8,
  given_packets = given_packets + $9, given_fen = given_fen + $10
WHERE phase_key = $1
  AND ((scene_id = $2 AND rain_id IN (0, $3)) OR (rain_id = 0 AND scene_id = ANY ($4::text[])))
