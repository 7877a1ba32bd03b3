import { describe, expect, it } from 'vitest';
import { seeded, shuffled, testSeed } from '../../test/support/orders.ts';
import { type CsvRow, createCsvReader, csvRecord } from './csv.ts';

function read(...pieces: string[]): CsvRow[] {
  const reader = createCsvReader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

describe('reading CSV', () => {
  it('reads CRLF and LF, quotes, commas and line ends in quotes, and knows each row’s line', () => {
    expect(read('a,b\r\n"x, y","say ""hi"""\n"two\nlines",2\nlast,')).toEqual([
      { line: 1, fields: ['a', 'b'] },
      { line: 2, fields: ['x, y', 'say "hi"'] },
      { line: 3, fields: ['two\nlines', '2'] },
      { line: 5, fields: ['last', ''] },
    ]);
  });

  it('takes an empty line for none, and a quoted empty field for one', () => {
    expect(read('a\n\n""\n\r\nb\n')).toEqual([
      { line: 1, fields: ['a'] },
      { line: 3, fields: [''] },
      { line: 5, fields: ['b'] },
    ]);
  });

  it.each([
    ['a,b"c', 'a quote stands inside a field without quotes'],
    ['"a"b,c', 'something stands behind a closing quote'],
    ['a\rb,c', 'a carriage return stands alone'],
    ['"never closed', 'the closing quote is missing'],
    [`"${'x'.repeat(2_000)}`, 'is its closing quote missing?'],
    [','.repeat(50), 'more than 32 fields'],
  ])('says what is wrong with %j', (text, why) => {
    const [row] = read(text);
    expect(row).toEqual({ line: 1, wrong: expect.stringContaining(why) });
  });

  it('goes on at the line after a broken one', () => {
    expect(read('a"b\nc,d\n')).toEqual([
      { line: 1, wrong: expect.any(String) },
      { line: 2, fields: ['c', 'd'] },
    ]);
  });

  it('reads back what it wrote, cut into pieces at random', () => {
    const random = seeded(testSeed('csv'));
    const alphabet = ['a', '"', ',', '\r\n', '\n', '汉', ' ', '0', '🧧'];
    for (let round = 0; round < 200; round += 1) {
      const rows = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        Array.from({ length: 2 + Math.floor(random() * 3) }, () =>
          shuffled(alphabet, random)
            .slice(0, Math.floor(random() * 6))
            .join(''),
        ),
      );
      const text = rows.map(csvRecord).join('');
      const at = Math.floor(random() * text.length);
      const found = read(text.slice(0, at), text.slice(at));
      expect(found.map((row) => ('fields' in row ? row.fields : row.wrong))).toEqual(rows);
    }
  });

  it('writes nothing that a spreadsheet would run', () => {
    expect(csvRecord(['=1+1', 'a'])).toBe("'=1+1,a\r\n");
  });
});
