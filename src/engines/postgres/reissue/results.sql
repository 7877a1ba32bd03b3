-- A page of the result file.
-- $1 job_id int4, $2 after line int4, $3 limit int4, $4 only these outcomes text[] (null: all).
SELECT line, outcome, act_id, coalesce(given_number, order_number) AS order_number,
       coalesce(given_fen, amount_fen) AS amount_fen,
       coalesce(reason, CASE WHEN outcome IS NULL THEN state END) AS reason
FROM reissue.line
WHERE job_id = $1 AND line > $2 AND ($4::text[] IS NULL OR outcome = ANY ($4::text[]))
ORDER BY line LIMIT $3
