import { describe, expect, it } from 'vitest';
import type { FulfilAnswer } from '../engines/ports.ts';
import { afterAnswer, firstQuestion } from './fulfilment.ts';

it('asks about a piece, unless nobody was asked for it yet', () => {
  expect((['granted', 'asking'] as const).map(firstQuestion)).toEqual(['give', 'query']);
});

const why = { reason: 'why' };
const answers: readonly FulfilAnswer[] = [
  { answer: 'fulfilled' },
  { answer: 'rejected', ...why },
  { answer: 'failed', ...why },
  { answer: 'processing' },
  { answer: 'unheard-of' },
  { answer: 'unknown', ...why },
];

describe('what an answer leads to', () => {
  it.each([
    // asked   compensate  fulfilled    rejected  failed        processing  unheard-of  unknown
    ['give', true, 'fulfilled', 'dead', 'give-again', 'put-off', 'put-off', 'put-off'],
    ['query', true, 'fulfilled', 'dead', 'give-again', 'put-off', 'give', 'put-off'],
    ['give', false, 'fulfilled', 'dead', 'dead', 'put-off', 'put-off', 'put-off'],
    ['query', false, 'fulfilled', 'dead', 'dead', 'put-off', 'give', 'put-off'],
  ] as const)('to a %s, where the scene compensates: %s', (asked, compensate, ...steps) => {
    const led = answers.map((answer) => {
      const after = afterAnswer(answer, { asked, compensate });
      return after.act === 'settle' ? after.end.state : after.act;
    });
    expect(led).toEqual(steps);
  });

  it('keeps the voucher and the reason', () => {
    const scene = { asked: 'give', compensate: false } as const;
    expect(afterAnswer({ answer: 'fulfilled', voucher: 'A-1' }, scene)).toEqual({
      act: 'settle',
      end: { state: 'fulfilled', voucher: 'A-1' },
    });
    expect(afterAnswer({ answer: 'failed', reason: 'no stock' }, scene)).toEqual({
      act: 'settle',
      end: { state: 'dead', reason: 'no stock' },
    });
  });
});
