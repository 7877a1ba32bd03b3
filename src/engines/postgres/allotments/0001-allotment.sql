-- Exact budgets. At all times and in every line: remaining + leased + given = total, in packets and in fen.
-- A slice of a round is leased from two lines, the round's and the scene's total (rain_id 0), and goes back to both.
-- Lock order: lines by (phase_key, scene_id, rain_id), then the slice.
CREATE SCHEMA IF NOT EXISTS allotment;

CREATE TABLE allotment.line (
  phase_key         int4   NOT NULL,
  scene_id          text   COLLATE "C" NOT NULL,
  rain_id           int4   NOT NULL, -- 0: the scene's total
  rule              text   NOT NULL CHECK (rule IN ('split', 'fixed', 'given')),
  packet_cap_fen    bigint NOT NULL,
  total_packets     int8   NOT NULL,
  total_fen         bigint NOT NULL,
  remaining_packets int8   NOT NULL CHECK (remaining_packets >= 0),
  remaining_fen     bigint NOT NULL CHECK (remaining_fen >= 0),
  leased_packets    int8   NOT NULL DEFAULT 0 CHECK (leased_packets >= 0),
  leased_fen        bigint NOT NULL DEFAULT 0 CHECK (leased_fen >= 0),
  given_packets     int8   NOT NULL DEFAULT 0 CHECK (given_packets >= 0),
  given_fen         bigint NOT NULL DEFAULT 0 CHECK (given_fen >= 0),
  CHECK (remaining_packets + leased_packets + given_packets = total_packets),
  CHECK (remaining_fen + leased_fen + given_fen = total_fen),
  PRIMARY KEY (phase_key, scene_id, rain_id)
);

CREATE SEQUENCE allotment.slice_id;
CREATE TABLE allotment.slice (
  slice_id       bigint PRIMARY KEY DEFAULT nextval('allotment.slice_id'),
  epoch          int4   NOT NULL DEFAULT 1,
  phase_key      int4   NOT NULL,
  scene_id       text   COLLATE "C" NOT NULL,
  rain_id        int4   NOT NULL, -- 0: outside any round
  holder         text   NOT NULL,
  state          text   NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'fenced', 'closed')),
  amounts_fen    bigint[],        -- by index; null for a 'given' scene
  packets        int8   NOT NULL, -- leased now: without the tail that came back
  fen            bigint NOT NULL,
  given_packets  int8,            -- known when closed
  given_fen      bigint,
  deal_until_ms  bigint NOT NULL,
  grant_until_ms bigint NOT NULL
);
CREATE INDEX slice_unclosed ON allotment.slice (grant_until_ms) WHERE state <> 'closed';
