export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'format' | 'seal';

export interface Finding {
  readonly invariant: Invariant;
  readonly what: string;
  readonly where: string;
  readonly detail: string;
}

export interface AuditReport {
  readonly ok: boolean;
  /** How much was looked at: an audit of nothing finds nothing. */
  readonly checked: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

/** Collects findings; keeps the first hundred of each kind, and counts them all. */
export class Findings {
  readonly list: Finding[] = [];
  private readonly counts = new Map<string, number>();

  add(invariant: Invariant, what: string, where: string, detail = ''): void {
    const kind = `${invariant} ${what}`;
    const count = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, count);
    if (count <= 100) this.list.push({ invariant, what, where, detail });
  }
}
