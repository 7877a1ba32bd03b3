import { describe, expect, it } from 'vitest';
import { REISSUE_ACTS, REISSUE_STATES, type ReissueAct, type ReissueState } from '../engines/ports.ts';
import { isRefusal } from '../protocol/failures.ts';
import { decideReissue } from './reissue-machine.ts';

const HASH = 'ab'.repeat(32);
const job = (state: ReissueState) => ({ id: 7, state, madeBy: 'ann', contentHash: HASH });
const REFUSED = { granted: 5, refused: 1 };

describe('what may be done with a list', () => {
  const expected: Record<ReissueState, Record<ReissueAct, ReissueState | 'no'>> = {
    checking: { approve: 'no', start: 'no', pause: 'no', cancel: 'cancelled' },
    draft: { approve: 'approved', start: 'no', pause: 'no', cancel: 'cancelled' },
    approved: { approve: 'no', start: 'running', pause: 'no', cancel: 'cancelled' },
    running: { approve: 'no', start: 'no', pause: 'paused', cancel: 'cancelled' },
    paused: { approve: 'no', start: 'running', pause: 'no', cancel: 'cancelled' },
    done: { approve: 'no', start: 'running', pause: 'no', cancel: 'no' },
    cancelled: { approve: 'no', start: 'no', pause: 'no', cancel: 'no' },
  };
  const cells = REISSUE_STATES.flatMap((state) => REISSUE_ACTS.map((act) => ({ state, act })));

  it.each(cells)('$act while $state', ({ state, act }) => {
    const next = decideReissue(job(state), REFUSED, { act, by: 'bob', contentHash: HASH });
    expect(isRefusal(next) ? 'no' : next).toBe(expected[state][act]);
  });

  it.each([
    ['by whoever made it', 'ann', HASH, {}, 'forbidden'],
    ['of other content', 'bob', 'cd'.repeat(32), {}, 'reissue-changed'],
    ['of content that was not named', 'bob', undefined, {}, 'reissue-changed'],
    ['with a wrong line', 'bob', HASH, { wrong: 1 }, 'reissue-not-now'],
  ])('refuses an approval %s', (_, by, contentHash, counts, refused) =>
    expect(decideReissue(job('draft'), counts, { act: 'approve', by, contentHash })).toMatchObject({
      refused,
    }),
  );

  it('asks nothing again of a list of which nothing was refused', () =>
    expect(decideReissue(job('done'), { granted: 6 }, { act: 'start', by: 'ann' })).toMatchObject({
      refused: 'reissue-not-now',
    }));
});
