import { expect, it } from 'vitest';
import type { ReissueLineDue } from '../../engines/ports.ts';
import type { PhaseKey, SceneId, SliceId } from '../../vocabulary/ids.ts';
import { createExhausted } from './exhausted.ts';

const line = (number: number, sceneId = 'show') =>
  ({ line: number, phaseKey: 3 as PhaseKey, sceneId: sceneId as SceneId }) as ReissueLineDue;
const slice = (id: number, phaseKey = 3) => ({
  sliceId: BigInt(id) as SliceId,
  phaseKey: phaseKey as PhaseKey,
});

it('a scene waits until what was out is counted, and once more when a line was given after that', async () => {
  let unclosed = [slice(1), slice(2, 9)];
  const exhausted = createExhausted(async () => unclosed);
  expect(await exhausted.note([line(1)], [])).toEqual({ final: [], again: [line(1)] });
  expect(exhausted.parked()).toMatchObject([{ phaseKey: 3, sceneId: 'show' }]);
  // What is leased later, and what is out of another phase, is not waited for.
  unclosed = [slice(1), slice(2, 9), slice(3)];
  expect(await exhausted.look()).toBe(false);
  unclosed = [slice(2, 9), slice(3)];
  expect(await exhausted.look()).toBe(true);
  expect(exhausted.parked()).toEqual([]);

  expect(await exhausted.note([line(2)], [line(1)])).toEqual({ final: [], again: [line(2)] });
  unclosed = [];
  expect(await exhausted.look()).toBe(true);
  expect(await exhausted.note([line(2), line(3, 'other')], [line(4, 'other')])).toEqual({
    final: [line(2)],
    again: [line(3, 'other')],
  });
});
