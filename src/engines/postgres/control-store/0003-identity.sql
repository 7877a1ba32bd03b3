-- Eight apps, one person (docs/decisions/0013). identity.act_id is what (app, user) was given at its first coming, and
-- never changes. A phone number joins persons: the smaller id stands for both, the other one becomes an alias.
--
-- Locks, in this order: the phone number's advisory lock, then those of the persons, rising (control.bind_phone). A
-- person's aliases and phone number change only under the person's lock.
ALTER TABLE control.identity DROP CONSTRAINT identity_act_id_key; -- several (app, user) may be one person from the start

CREATE TABLE control.alias (
  act_id      bigint PRIMARY KEY,
  root_act_id bigint NOT NULL, -- who stands for it; never an alias itself
  joined_xid  xid8   NOT NULL DEFAULT pg_current_xact_id(), -- of the last join that touched it: who asks what is new misses none
  CHECK (root_act_id < act_id)
);
CREATE INDEX alias_root ON control.alias (root_act_id);
CREATE INDEX alias_joined ON control.alias (joined_xid);

CREATE TABLE control.phone (
  phone_key bytea  PRIMARY KEY, -- HMAC-SHA256: the number itself is stored nowhere
  act_id    bigint NOT NULL UNIQUE -- never an alias; a person has one number
);

CREATE FUNCTION control.root_of(wanted bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT a.root_act_id FROM control.alias a WHERE a.act_id = wanted), wanted)
$$;

CREATE FUNCTION control.aliases_of(wanted bigint) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(string_agg(a.act_id::text, ' ' ORDER BY a.act_id), '') FROM control.alias a WHERE a.root_act_id = wanted
$$;

-- Binds a phone number to (app, user). Returns the id that (app, user) was given, and what became of it (PhoneOutcome
-- in ports.ts). Raises 40001 when a person was joined while this one waited for its locks: then ask again.
CREATE FUNCTION control.bind_phone(
  wanted_app int4, wanted_user bytea, wanted_phone bytea, may_replace boolean,
  OUT given bigint, OUT outcome text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  mine   bigint;
  holder bigint;
  root   bigint;
  young  bigint;
  is_new boolean := false;
BEGIN
  -- The common case, without a lock: it is so already.
  SELECT i.act_id INTO given FROM control.identity i JOIN control.phone p ON p.act_id = control.root_of(i.act_id)
  WHERE i.app_id = wanted_app AND i.user_key = wanted_user AND p.phone_key = wanted_phone;
  IF FOUND THEN
    outcome := 'known';
    RETURN;
  END IF;

  PERFORM pg_advisory_xact_lock(203717, ('x' || left(encode(wanted_phone, 'hex'), 8))::bit(32)::int4);
  SELECT p.act_id INTO holder FROM control.phone p WHERE p.phone_key = wanted_phone;
  SELECT i.act_id INTO given FROM control.identity i WHERE i.app_id = wanted_app AND i.user_key = wanted_user;
  IF given IS NULL THEN
    INSERT INTO control.identity (app_id, user_key, act_id)
    VALUES (wanted_app, wanted_user, coalesce(holder, nextval('control.act_id')))
    ON CONFLICT (app_id, user_key) DO NOTHING RETURNING act_id INTO given;
    is_new := given IS NOT NULL;
    IF NOT is_new THEN -- somebody else gave it an id at this moment
      SELECT i.act_id INTO given FROM control.identity i WHERE i.app_id = wanted_app AND i.user_key = wanted_user;
    END IF;
  END IF;

  mine := control.root_of(given);
  PERFORM pg_advisory_xact_lock(-least(mine, holder));
  IF mine <> holder THEN
    PERFORM pg_advisory_xact_lock(-greatest(mine, holder));
  END IF;
  IF mine <> control.root_of(given)
    OR holder IS DISTINCT FROM (SELECT p.act_id FROM control.phone p WHERE p.phone_key = wanted_phone) THEN
    RAISE EXCEPTION 'a person changed meanwhile' USING ERRCODE = '40001';
  END IF;

  IF holder = mine THEN
    outcome := CASE WHEN is_new THEN 'bound' ELSE 'known' END;
  ELSIF holder IS NULL THEN
    IF NOT EXISTS (SELECT 1 FROM control.phone p WHERE p.act_id = mine) THEN
      INSERT INTO control.phone (phone_key, act_id) VALUES (wanted_phone, mine);
      outcome := 'bound';
    ELSIF may_replace THEN
      UPDATE control.phone SET phone_key = wanted_phone WHERE act_id = mine;
      outcome := 'replaced';
    ELSE
      outcome := 'kept';
    END IF;
  ELSIF EXISTS (SELECT 1 FROM control.phone p WHERE p.act_id = mine) THEN
    outcome := 'of-another';
  ELSE
    root := least(mine, holder);
    young := greatest(mine, holder);
    UPDATE control.alias SET root_act_id = root, joined_xid = pg_current_xact_id() WHERE root_act_id = young;
    INSERT INTO control.alias (act_id, root_act_id) VALUES (young, root);
    UPDATE control.phone SET act_id = root WHERE phone_key = wanted_phone;
    outcome := 'joined';
  END IF;
END $$;
