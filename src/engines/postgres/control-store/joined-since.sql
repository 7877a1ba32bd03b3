-- Persons who were joined by transactions that an earlier look with this mark could not see. $1 the mark text (an xid8),
-- or null: nobody, only the mark. Returns at least one row: mark, root (null: nobody), aliases as in persons-for.sql.
-- Ids of transactions, because a counter's numbers are committed out of order. What lies beyond this database's own
-- transactions came with a dump of another one, and is nothing new.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS mark, j.root, control.aliases_of(j.root) AS aliases
FROM (SELECT 1) AS one LEFT JOIN (
  SELECT DISTINCT root_act_id AS root FROM control.alias
  WHERE joined_xid >= $1::text::xid8 AND joined_xid < pg_snapshot_xmax(pg_current_snapshot())
) AS j ON true
