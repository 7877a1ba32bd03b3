-- What control remembers. Secrets are stored as SHA-256 only, users as keyed hashes only.
CREATE SCHEMA IF NOT EXISTS control;

CREATE SEQUENCE control.act_id START 1000001;
CREATE TABLE control.identity (
  app_id   int4   NOT NULL,
  user_key bytea  NOT NULL, -- HMAC-SHA256 of (app, user)
  act_id   bigint NOT NULL UNIQUE DEFAULT nextval('control.act_id'),
  PRIMARY KEY (app_id, user_key)
);

CREATE TABLE control.campaign (
  campaign_id  text NOT NULL,
  version      int4 NOT NULL,
  content_hash text NOT NULL,
  source       text NOT NULL, -- the file as applied
  PRIMARY KEY (campaign_id, version)
);

-- A phase keeps its key for ever, in whatever version of the file it stands: it is part of every ledger key.
CREATE SEQUENCE control.phase_key AS int4;
CREATE TABLE control.phase (
  campaign_id text NOT NULL,
  phase_id    text NOT NULL,
  phase_key   int4 NOT NULL UNIQUE DEFAULT nextval('control.phase_key'),
  PRIMARY KEY (campaign_id, phase_id)
);

CREATE TABLE control.upstream (
  name        text  PRIMARY KEY,
  campaign_id text  NOT NULL,
  scenes      text[] NOT NULL,
  secret_hash bytea NOT NULL UNIQUE
);

CREATE TABLE control.setup_token (
  token_hash bytea PRIMARY KEY,
  spent      boolean NOT NULL DEFAULT false
);

CREATE TABLE control.operator (
  name     text  PRIMARY KEY,
  key_hash bytea NOT NULL UNIQUE
);
