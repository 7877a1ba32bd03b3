import { describe, expect, it } from 'vitest';
import { parseYuan, yuan } from './money.ts';
import { WORDS } from './words.ts';

describe('money on the page', () => {
  it.each([
    [0, '0.00'],
    [1, '0.01'],
    [123456, '1234.56'],
    [-5, '-0.05'],
  ])('%i fen is %s', (fen, text) => expect(yuan(fen)).toBe(text));
  it.each([
    ['0.01', 1],
    ['1', 100],
    ['1.5', 150],
    [' 12.34 ', 1234],
    ['0', undefined],
    ['', undefined],
    ['1.234', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['１２', undefined],
    ['9'.repeat(13), undefined],
  ])('"%s" is %s fen', (text, fen) => expect(parseYuan(text)).toBe(fen));
});

it('says everything in both languages', () => {
  expect(Object.keys(WORDS.en)).toEqual(Object.keys(WORDS.zh));
});
