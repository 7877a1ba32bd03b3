-- The person of an id. $1 act_id bigint. Returns one row: root, and aliases as in persons-for.sql.
SELECT r.root, control.aliases_of(r.root) AS aliases FROM (SELECT control.root_of($1::bigint) AS root) AS r
