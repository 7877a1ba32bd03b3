-- Moves packets and fen between remaining, leased and given, in a slice's lines, which the caller has locked.
-- $1 phase_key, $2 scene_id, $3 rain_id; $4 packets and $5 fen onto remaining, $6 and $7 onto leased,
-- $8 and $9 onto given. Each triple sums to zero, so the total stays.
UPDATE allotment.line SET
  remaining_packets = remaining_packets + $4, remaining_fen = remaining_fen + $5,
  leased_packets = leased_packets + $6, leased_fen = leased_fen + $7,
  given_packets = given_packets + $8, given_fen = given_fen + $9
WHERE phase_key = $1 AND scene_id = $2 AND rain_id IN (0, $3)
