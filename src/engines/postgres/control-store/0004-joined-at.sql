-- When an id became its person's, for the auditor: from a moment later on what the ids won counts against one person's
-- caps. An id whose person was joined to another one was joined to that one only then.
ALTER TABLE control.alias ADD COLUMN joined_at timestamptz NOT NULL DEFAULT clock_timestamp();

CREATE FUNCTION control.joined_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.joined_at := clock_timestamp();
  RETURN NEW;
END $$;
CREATE TRIGGER alias_joined_at BEFORE UPDATE OF root_act_id ON control.alias
  FOR EACH ROW EXECUTE FUNCTION control.joined_now();
