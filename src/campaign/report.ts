import type { CampaignProblem } from './problems.ts';

const SOURCE_CHARACTERS_MAX = 100;

/**
 * The mistakes for a terminal: file:line:column (editors jump there), what is wrong, the line itself with a caret under
 * the place, and what would be right. What a file holds can't steer the terminal: control characters come out as dots.
 */
export function reportProblems(file: string, text: string, problems: readonly CampaignProblem[]): string {
  const lines = text.split('\n');
  const blocks = problems.map((problem) => blockOf(file, lines[problem.line - 1] ?? '', problem));
  const count = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`;
  return `${blocks.join('\n\n')}\n\n${count}; nothing was changed.\n`;
}

function blockOf(file: string, line: string, problem: CampaignProblem): string {
  const { before, after } = windowOf(line.replace(/\r$/, ''), problem.column - 1);
  const number = String(problem.line);
  const where = problem.path ? `${problem.path}: ` : '';
  const hint = problem.expected.startsWith('did you mean')
    ? problem.expected
    : `expected ${problem.expected}`;
  return [
    `${file}:${problem.line}:${problem.column}  ${printable(where + problem.message)}`,
    `  ${number} | ${printable(before + after)}`,
    `  ${' '.repeat(number.length)} | ${' '.repeat(widthOf(printable(before)))}^ ${printable(hint)}`,
  ].join('\n');
}

/** What stands before a place and after it, with as much of a long line as fits around it. */
function windowOf(line: string, place: number): { before: string; after: string } {
  const at = Math.min(Math.max(place, 0), line.length);
  const from =
    line.length <= SOURCE_CHARACTERS_MAX ? 0 : Math.max(0, at - Math.floor(SOURCE_CHARACTERS_MAX / 2));
  const to = Math.min(line.length, from + SOURCE_CHARACTERS_MAX);
  return {
    before: (from > 0 ? '…' : '') + line.slice(from, at),
    after: line.slice(at, to) + (to < line.length ? '…' : ''),
  };
}

/** A tab as one blank, so that the caret fits; whatever else moves a cursor or turns text around, as a dot. */
const printable = (text: string): string =>
  text.replaceAll('\t', ' ').replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '·');

/** East Asian characters and emoji take two columns of a terminal, marks that sit on a letter none. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

const widthOf = (text: string): number => {
  let width = 0;
  for (const character of text) width += /^\p{M}/u.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
};
