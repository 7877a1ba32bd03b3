import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CampaignProblem } from './problems.ts';
import { readCampaign } from './read.ts';
import { reportProblems } from './report.ts';

const problem = (
  line: number,
  column: number,
  message = 'it is wrong',
  expected = 'what is right',
): CampaignProblem => ({
  line,
  column,
  path: '',
  message,
  expected,
});
const report = (text: string, ...problems: CampaignProblem[]) => reportProblems('gala.yaml', text, problems);

describe('the report of a campaign’s mistakes', () => {
  it('shows place, mistake, source, caret and what would be right', () => {
    const text = readFileSync('examples/broken.yaml', 'utf8');
    const read = readCampaign(text);
    const shown = reportProblems('examples/broken.yaml', text, 'problems' in read ? read.problems : []);
    expect(shown).toContain(`
examples/broken.yaml:8:11  limits.packet: there is no field "packet" here
  8 | limits: { packet: 3, packetsPerSponsor: 0 }
    |           ^ did you mean "packets"?

examples/broken.yaml:8:41  limits.packetsPerSponsor: 0 is too small
  8 | limits: { packet: 3, packetsPerSponsor: 0 }
    |                                         ^ expected a whole number from 1 to 10000000000: Of those, from one sponsor.

examples/broken.yaml:9:12  ticketTtl: "2 minutes" is no duration
  9 | ticketTtl: 2 minutes
    |            ^ expected ISO 8601 and more than nothing, e.g. PT90S, PT2M, PT1H30M
`);
    expect(shown).toContain('^ expected not before 2027-02-05T20:11:00+08:00\n');
    expect(shown).toContain('did you mean "panda-bank"?');
    expect(shown).toContain('did you mean "split"?');
    expect(shown.endsWith('\n\n16 mistakes; nothing was changed.\n')).toBe(true);
  });

  it('puts the caret under the place behind Chinese, an emoji, a tab and a combining mark', () => {
    const caretOf = (line: string, column: number) => report(line, problem(1, column)).split('\n')[2];
    expect(caretOf('zh: 红包, en: 42', 13)).toBe(`    | ${' '.repeat(14)}^ expected what is right`);
    expect(caretOf('a: \u{1f9e7} 1', 7)).toBe(`    | ${' '.repeat(6)}^ expected what is right`);
    expect(caretOf('a:\t1', 4)).toBe(`    | ${' '.repeat(3)}^ expected what is right`);
    expect(caretOf('e\u0301: 1', 5)).toBe(`    | ${' '.repeat(3)}^ expected what is right`);
  });

  it('shows a long line around its place', () => {
    const [, source, caret] = report(`${'a'.repeat(5_000)}X${'b'.repeat(5_000)}`, problem(1, 5_001)).split(
      '\n',
    );
    expect(source!.length).toBeLessThan(120);
    expect(source![caret!.indexOf('^')]).toBe('X');
  });

  it('lets no file steer the terminal', () => {
    const evil = 'a: "\u001b[2J\u202e\u0007\u009b31m\ud800"\r';
    const shown = report(evil, problem(1, 4, `no field "${evil}"`, evil));
    expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(shown).toContain('a: "·[2J');
  });

  it('has its one mistake in the singular', () => {
    expect(report('', problem(1, 1))).toContain('\n1 mistake; nothing was changed.\n');
  });

  it('never throws, whatever the text and the place', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.integer({ min: -2, max: 50 }),
        fc.integer({ min: -2, max: 500 }),
        fc.string(),
        (text, line, column, message) => {
          expect(report(text, problem(line, column, message)).split('\n')).toHaveLength(6);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
