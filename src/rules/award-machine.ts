import type { AwardState } from '../engines/ports.ts';

/** A piece's way: granted ▸ asking ▸ fulfilled ▸ used; or dead, until somebody replays it. "Unknown" stays `asking`. */
export type AwardEvent = 'ask' | 'wait' | 'ask-again' | 'handed-out' | 'refused' | 'use' | 'replay';

/**
 * Where an event leads: a new state, `same` (a repeat, nothing moves), `not-now` (a caller's wish that does not fit,
 * nothing moves), or `broken` (two ends that exclude one another).
 */
export type AwardStep = AwardState | 'same' | 'not-now' | 'broken';

/**
 * Every state × event; a missing cell does not compile. What a downstream has done counts in `granted` too: two
 * workers may ask about the same piece, and one of them may have taken it back to be asked for anew.
 */
const AWARD_MACHINE: Record<AwardState, Record<AwardEvent, AwardStep>> = {
  granted: {
    ask: 'asking',
    wait: 'same',
    'ask-again': 'same',
    'handed-out': 'fulfilled',
    refused: 'dead',
    use: 'not-now',
    replay: 'not-now',
  },
  asking: {
    ask: 'same',
    wait: 'same',
    'ask-again': 'granted',
    'handed-out': 'fulfilled',
    refused: 'dead',
    use: 'not-now',
    replay: 'not-now',
  },
  fulfilled: {
    ask: 'not-now',
    wait: 'not-now',
    'ask-again': 'not-now',
    'handed-out': 'same',
    refused: 'broken',
    use: 'used',
    replay: 'not-now',
  },
  used: {
    ask: 'not-now',
    wait: 'not-now',
    'ask-again': 'not-now',
    'handed-out': 'same',
    refused: 'broken',
    use: 'same',
    replay: 'not-now',
  },
  dead: {
    ask: 'not-now',
    wait: 'not-now',
    'ask-again': 'not-now',
    'handed-out': 'broken',
    refused: 'same',
    use: 'not-now',
    replay: 'asking',
  },
};

export const nextAwardState = (state: AwardState, event: AwardEvent): AwardStep =>
  AWARD_MACHINE[state][event];
