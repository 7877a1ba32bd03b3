-- A new slice. $1 phase_key, $2 scene_id, $3 rain_id (0: no round), $4 holder, $5 amounts fen bigint[] (null for a 'given'
-- scene), $6 packets, $7 fen, $8 deal_until_ms, $9 grant_until_ms.
INSERT INTO allotment.slice
  (phase_key, scene_id, rain_id, holder, amounts_fen, packets, fen, deal_until_ms, grant_until_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING slice_id, epoch
