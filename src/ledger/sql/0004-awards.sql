-- Pieces: awards that are no money (docs/decisions/0010). A piece is credited as a packet is, by a posting under its
-- order number, into purse 6 of the person, "pieces", at what it is worth (0 is allowed) against its slice's funding
-- account; so primary key, double entry and slice tally hold as they are. It is no income.
-- In the same statement a row of ledger.award is written: the outbox from which downstreams are asked.
--
-- A piece's states:  granted ─▶ asking ─▶ fulfilled ─▶ used
--                       ◀─again──┘ └─▶ dead ─replay─▶ asking
--   granted    credited, or certainly not handed out so far
--   asking     a downstream was, or is about to be, asked; what became of it may be unknown
--   fulfilled  it was handed out, once and for all
--   used       the person used it
--   dead       no downstream will hand it out; a dead letter for somebody to look at
-- Worth and moment of drawing stand in the posting (purse 6, same ref) only. There is an award for each such posting
-- and a posting for each award.
--
-- Lock order: buckets, slices, then the pieces' postings, their accounts (purse 6) and awards, then everything of money
-- as in 0001. One transaction changes one award, or credits pieces before money.
CREATE TABLE ledger.award (
  act_id     bigint NOT NULL,
  due_at_ms  bigint NOT NULL, -- nobody asks before; ms since 1970 UTC
  used_at_ms bigint,
  phase_key  int4   NOT NULL,
  tries      int4   NOT NULL DEFAULT 0, -- how often the downstream was asked for it, or about it
  ref        text   COLLATE "C" NOT NULL, -- the order number
  state      text   NOT NULL DEFAULT 'granted' CHECK (state IN ('granted', 'asking', 'fulfilled', 'used', 'dead')),
  voucher    text, -- what the downstream gave
  reason     text, -- what it said last, when it did not hand it out
  PRIMARY KEY (act_id, phase_key, ref),
  CHECK ((state = 'used') = (used_at_ms IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX award_due ON ledger.award (due_at_ms) WHERE state IN ('granted', 'asking');
-- Each downstream looks for its own scenes: what waits for one that is away must not stand before the others'.
CREATE INDEX award_due_of_scene ON ledger.award (split_part(ref, '_', 2), due_at_ms) WHERE state IN ('granted', 'asking');
CREATE INDEX award_tried ON ledger.award (ref) WHERE state IN ('granted', 'asking') AND tries > 0;
CREATE INDEX award_dead ON ledger.award (ref) WHERE state = 'dead';
