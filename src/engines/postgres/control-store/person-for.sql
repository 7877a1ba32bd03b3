-- The person of (app, user), whose id is given at the first asking.
-- $1 app_id int4, $2 user_key bytea (HMAC-SHA256). Returns one row (given, root, aliases: decimal, rising, separated by
-- spaces), or none when another transaction is giving the id at this moment: then ask again. Locks nothing that exists.
WITH known AS (
  SELECT act_id FROM control.identity WHERE app_id = $1 AND user_key = $2
), made AS (
  INSERT INTO control.identity (app_id, user_key, act_id)
  SELECT $1, $2, nextval('control.act_id') WHERE NOT EXISTS (SELECT 1 FROM known)
  ON CONFLICT (app_id, user_key) DO NOTHING
  RETURNING act_id
)
SELECT g.act_id AS given, control.root_of(g.act_id) AS root, control.aliases_of(control.root_of(g.act_id)) AS aliases
FROM (SELECT act_id FROM known UNION ALL SELECT act_id FROM made) AS g
