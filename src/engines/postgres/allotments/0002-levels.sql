-- Totals above the scenes, and pieces. A level is a line whose scene_id is its path ('/', '/reward', '/reward/item');
-- a scene's own line (rain_id 0) names the levels above it. What a level has leased and given is at any moment the sum
-- over the scenes that name it: a slice moves the lines of its scene as the scene stands then.
-- Lock order, as before: lines by (phase_key, scene_id, rain_id), then the slice.
ALTER TABLE allotment.line DROP CONSTRAINT line_rule_check;
ALTER TABLE allotment.line ADD CONSTRAINT line_rule_check
  CHECK (rule IN ('split', 'fixed', 'given', 'piece', 'level'));
ALTER TABLE allotment.line ADD COLUMN levels text[] COLLATE "C" NOT NULL DEFAULT '{}';

-- Nothing is dealt from it any more: what was left came back. It says so itself, because a tail may be money alone.
ALTER TABLE allotment.slice ADD COLUMN tail_is_back boolean NOT NULL DEFAULT false;
CREATE INDEX slice_in_hand ON allotment.slice (phase_key) WHERE state = 'open' AND NOT tail_is_back;
