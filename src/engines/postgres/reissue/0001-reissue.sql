-- Lists of grants that are given after the fact, and what became of each line. Nobody's name is in here: a line has a
-- keyed hash of (app, user) until its person is looked up, then the ActId.
-- Lock order: job, then its lines.
CREATE SCHEMA IF NOT EXISTS reissue;

CREATE TABLE reissue.job (
  job_id         int4   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state          text   NOT NULL CHECK (state IN ('checking', 'draft', 'approved', 'running', 'paused', 'done', 'cancelled')),
  content_hash   bytea, -- SHA-256 of the file; null only inside the transaction that brings it in
  lines          int4   NOT NULL DEFAULT 0,
  made_by        text   NOT NULL,
  made_at_ms     bigint NOT NULL,
  approved_by    text   CHECK (approved_by <> made_by),
  per_second     int4   NOT NULL CHECK (per_second > 0),
  -- Whose turn it is: a worker writes only under the newest epoch.
  worker         text,
  epoch          int4   NOT NULL DEFAULT 0,
  lease_until_ms bigint NOT NULL DEFAULT 0,
  CHECK (state IN ('checking', 'draft', 'cancelled') OR approved_by IS NOT NULL)
);
CREATE UNIQUE INDEX job_content ON reissue.job (content_hash) WHERE state <> 'cancelled';
CREATE INDEX job_work ON reissue.job (job_id) WHERE state IN ('checking', 'running', 'paused', 'cancelled');

CREATE TABLE reissue.line (
  job_id        int4   NOT NULL REFERENCES reissue.job,
  line          int4   NOT NULL, -- of the file, from 1
  state         text   NOT NULL CHECK (state IN ('unchecked', 'waiting', 'asking', 'settled')),
  campaign_id   text,
  scene_id      text   COLLATE "C",
  rain_id       int4,
  app_id        int4,
  user_key      bytea,           -- until it is checked
  act_id        bigint,          -- from then on
  phase_key     int4,
  amount_fen    bigint,          -- as named; once granted, as given
  drawn_at_ms   bigint,
  order_number  text   COLLATE "C",
  given_before  boolean NOT NULL DEFAULT false,
  outcome       text   CHECK (outcome IN ('granted', 'already', 'refused', 'wrong', 'duplicate')),
  reason        text,
  given_number  text   COLLATE "C", -- the order that was given, when it is not the one that was asked for
  given_fen     bigint,
  settled_at_ms bigint,
  CHECK ((state = 'settled') = (outcome IS NOT NULL)),
  PRIMARY KEY (job_id, line)
);
CREATE INDEX line_due ON reissue.line (job_id, state, line) WHERE state <> 'settled';

CREATE TABLE reissue.event (
  event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id   int4   NOT NULL REFERENCES reissue.job,
  at_ms    bigint NOT NULL,
  by_whom  text   NOT NULL,
  act      text   NOT NULL,
  detail   text   NOT NULL
);
CREATE INDEX event_job ON reissue.event (job_id, event_id);

-- Who made whom an operator: an approval by somebody whom its maker has just added is seen here.
CREATE TABLE reissue.operator_event (
  name     text   PRIMARY KEY,
  added_by text   NOT NULL,
  at_ms    bigint NOT NULL
);
