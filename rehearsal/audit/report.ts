export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'format' | 'seal';

export interface Finding {
  readonly invariant: Invariant;
  readonly what: string;
  readonly where: string;
  readonly detail: string;
}

/** A part of what is at a station. Pieces count at what they are worth. */
export interface Share {
  readonly name: string;
  readonly count: number;
  readonly fen: number;
}

/** One station's books (I8): what came in, and where it is now. */
export interface Conserved {
  readonly station: string;
  readonly came: Share;
  readonly shares: readonly Share[];
  /** The shares are what came, in count and in fen. */
  readonly holds: boolean;
}

export interface AuditReport {
  readonly ok: boolean;
  /** How much was looked at: an audit of nothing finds nothing. */
  readonly checked: Readonly<Record<string, number>>;
  /** Conservation, station by station, in the order in which things pass them. */
  readonly conserved: readonly Conserved[];
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
