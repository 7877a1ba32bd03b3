export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'format';

export interface Finding {
  readonly invariant: Invariant;
  /** What is wrong, in a few words that are the same for every case of it. */
  readonly what: string;
  /** The order, slice, account or file offset. */
  readonly where: string;
  readonly detail: string;
}

export interface AuditReport {
  readonly ok: boolean;
  /** How many of each were looked at: an audit that looked at nothing proves nothing. */
  readonly checked: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

/** Where checks write what they see. */
export interface Notebook {
  saw(what: string, count: number): void;
  find(invariant: Invariant, what: string, where: string, detail: string): void;
  /** A finding unless both are the same. */
  same(invariant: Invariant, what: string, where: string, is: unknown, shouldBe: unknown): void;
  report(): AuditReport;
}

export function createNotebook(): Notebook {
  const checked: Record<string, number> = {};
  const findings: Finding[] = [];
  const find: Notebook['find'] = (invariant, what, where, detail) => {
    findings.push({ invariant, what, where, detail });
  };
  return {
    saw(what, count) {
      checked[what] = (checked[what] ?? 0) + count;
    },
    find,
    same(invariant, what, where, is, shouldBe) {
      if (is !== shouldBe) find(invariant, what, where, `is ${is}, should be ${shouldBe}`);
    },
    report: () => ({ ok: findings.length === 0, checked, findings }),
  };
}

/** For people: one line a finding. */
export function reportText(report: AuditReport): string {
  const counts = Object.entries(report.checked)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
  const lines = report.findings.map(
    ({ invariant, what, where, detail }) => `  ${invariant}  ${what}  [${where}]  ${detail}`,
  );
  return [
    report.ok ? 'Nothing found.' : `${report.findings.length} findings:`,
    ...lines,
    `Looked at ${counts}.`,
  ].join('\n');
}
