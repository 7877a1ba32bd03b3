-- The ActId of a person, given at the first asking.
-- $1 app_id int4, $2 user_key bytea (HMAC-SHA256). Returns one row (act_id), or none when another transaction is
-- giving it at this moment: then ask again. Locks nothing that exists.
WITH known AS (
  SELECT act_id FROM control.identity WHERE app_id = $1 AND user_key = $2
), made AS (
  INSERT INTO control.identity (app_id, user_key)
  SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM known)
  ON CONFLICT (app_id, user_key) DO NOTHING
  RETURNING act_id
)
SELECT act_id FROM known UNION ALL SELECT act_id FROM made
