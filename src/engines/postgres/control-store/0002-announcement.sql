-- What control announced, oldest first: whole documents, signed, never changed. Two controls that announce at the same
-- moment meet at the key, and the later one begins anew from what stands.
CREATE TABLE control.announcement (
  sequence bigint PRIMARY KEY,
  envelope bytea  NOT NULL
);
