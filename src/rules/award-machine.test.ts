import { describe, expect, it } from 'vitest';
import type { AwardState } from '../engines/ports.ts';
import { type AwardEvent, nextAwardState } from './award-machine.ts';

const table = `
            ask      wait     ask-again  handed-out  refused  use      replay
granted     asking   same     same       fulfilled   dead     not-now  not-now
asking      same     same     granted    fulfilled   dead     not-now  not-now
fulfilled   not-now  not-now  not-now    same        broken   used     not-now
used        not-now  not-now  not-now    same        broken   same     not-now
dead        not-now  not-now  not-now    broken      same     not-now  asking`;

const [head, ...lines] = table.trim().split('\n');
const events = head!.trim().split(/\s+/) as AwardEvent[];

describe('a piece', () => {
  it.each(lines.map((line) => line.trim().split(/\s+/)))(
    'in state %s: ask %s, wait %s, ask again %s, handed out %s, refused %s, use %s, replay %s',
    (state, ...steps) => {
      expect(events.map((event) => nextAwardState(state as AwardState, event))).toEqual(steps);
    },
  );
});
