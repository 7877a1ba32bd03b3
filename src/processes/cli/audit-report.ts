import type { AuditReport, Conserved } from '../../../rehearsal/audit/index.ts';
import { type Fen, formatYuan } from '../../vocabulary/fen.ts';

/** Everything about the engine in one look: the verdict, what is wrong, then what is where, and how much was read. */
export function auditText({ ok, findings, conserved, checked }: AuditReport): string {
  const verdict = ok
    ? 'Nothing found. I1–I8 hold.'
    : `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}:`;
  const wrong = findings.map(({ invariant, what, where, detail }) =>
    `  ${invariant}  ${what}  ${where}  ${detail}`.trimEnd(),
  );
  const counts = Object.entries(checked)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
  return [verdict, ...wrong, '', ...conservedLines(conserved), '', `Looked at ${counts}.`].join('\n');
}

/** `  station   12 (¥3.40) came  =  11 (¥3.00) here + 1 (¥0.40) there`; ≠ where it does not add up. */
export function conservedLines(stations: readonly Conserved[]): string[] {
  const width = Math.max(0, ...stations.map(({ station }) => station.length));
  return stations.map(({ station, came, shares, holds }) => {
    const hasCounts = [came, ...shares].some(({ count }) => count !== 0);
    const hasFen = [came, ...shares].some(({ fen }) => fen !== 0);
    const said = ({ name, count, fen }: Conserved['came']): string => {
      const numbers = [
        ...(hasCounts || !hasFen ? [count.toLocaleString('en')] : []),
        ...(hasFen ? [yuan(fen)] : []),
      ];
      return `${numbers.length === 2 ? `${numbers[0]} (${numbers[1]})` : numbers[0]} ${name}`;
    };
    return `  ${station.padEnd(width)}  ${said(came)} ${holds ? '=' : '≠'} ${shares.map(said).join(' + ')}`;
  });
}

const yuan = (fen: number): string => `¥${formatYuan(BigInt(fen) as Fen)}`;
