import type { CampaignProblem } from './problems.ts';

/** The mistakes for a terminal: file:line:column, what is wrong, what would be right, and the line itself. */
export function reportProblems(file: string, text: string, problems: readonly CampaignProblem[]): string {
  const lines = text.split('\n');
  const blocks = problems.map((problem) => {
    const source = (lines[problem.line - 1] ?? '').slice(0, 160);
    const number = String(problem.line);
    return [
      `${file}:${problem.line}:${problem.column}  ${problem.path ? `${problem.path}: ` : ''}${problem.message}`,
      `  ${number} | ${source}`,
      `  ${' '.repeat(number.length)} | ${' '.repeat(Math.max(0, Math.min(problem.column, 160) - 1))}^ expected ${problem.expected}`,
    ].join('\n');
  });
  return `${blocks.join('\n\n')}\n\n${problems.length} ${problems.length === 1 ? 'mistake' : 'mistakes'}; nothing was changed.\n`;
}
