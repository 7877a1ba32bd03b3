-- Each downstream looks for its own scenes, in the phases of the campaigns that name it for them: another campaign's
-- scene of the same name may be another downstream's, and what waits for that must not stand before ours.
DROP INDEX ledger.award_due_of_scene;
CREATE INDEX award_due_of_phase ON ledger.award (phase_key, split_part(ref, '_', 2), due_at_ms)
  WHERE state IN ('granted', 'asking');
