-- The persons of many ids. $1 act_id bigint[]. Returns a row for each place, from 1: (place, root, aliases: as in
-- persons-for.sql).
SELECT o.place::int4, o.root, coalesce(others.aliases, '') AS aliases
FROM (
  SELECT asked.place, coalesce(alias.root_act_id, asked.act_id) AS root
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (act_id, place)
  LEFT JOIN control.alias ON alias.act_id = asked.act_id
) AS o
LEFT JOIN LATERAL (
  SELECT string_agg(alias.act_id::text, ' ' ORDER BY alias.act_id) AS aliases
  FROM control.alias WHERE alias.root_act_id = o.root
) AS others ON true
