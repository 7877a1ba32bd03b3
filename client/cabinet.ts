/** Where a phone keeps things; localStorage has this shape. */
export interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export const memoryStore = (): KeyValueStore => {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
};

export interface KeptTicket {
  readonly ticket: string;
  readonly expiresAtMs: number;
}

interface Kept {
  claimRecord: string;
  /** Sealed tokens by order number, base64url. */
  tokens: Record<string, string>;
  tickets: KeptTicket[];
  /** A withdrawal whose answer is not known yet: the same key asks for the same withdrawal. */
  withdrawal?: { readonly amountFen: number; readonly idempotencyKey: string };
}

const TOKENS_MAX = 200;
const TICKETS_MAX = 10;

/** What the phone holds for one person in one campaign: tokens, unopened tickets, the claim record. Bounded. */
export class Cabinet {
  private readonly key: string;
  private kept: Kept;

  constructor(
    private readonly store: KeyValueStore,
    campaignId: string,
    person: string,
  ) {
    this.key = `hongbao:${campaignId}:${person}`;
    this.kept = this.read();
  }

  get claimRecord(): string {
    return this.kept.claimRecord;
  }
  set claimRecord(record: string) {
    this.kept.claimRecord = record;
    this.write();
  }

  get tokens(): string[] {
    return Object.values(this.kept.tokens);
  }
  addToken(orderNumber: string, token: string): void {
    this.kept.tokens[orderNumber] = token;
    this.kept.tokens = Object.fromEntries(Object.entries(this.kept.tokens).slice(-TOKENS_MAX));
    this.write();
  }
  /** A credited token has done its work. */
  dropTokens(orderNumbers: readonly string[]): void {
    for (const orderNumber of orderNumbers) delete this.kept.tokens[orderNumber];
    this.write();
  }

  tickets(nowMs: number): KeptTicket[] {
    return this.kept.tickets.filter((ticket) => ticket.expiresAtMs > nowMs);
  }
  addTicket(ticket: KeptTicket): void {
    this.kept.tickets = [...this.kept.tickets, ticket].slice(-TICKETS_MAX);
    this.write();
  }
  dropTicket(ticket: string): void {
    this.kept.tickets = this.kept.tickets.filter((one) => one.ticket !== ticket);
    this.write();
  }

  /** The key under which this amount is being withdrawn: a new one, or the one whose answer got lost. */
  withdrawalKey(amountFen: number, fresh: () => string): string {
    if (this.kept.withdrawal?.amountFen !== amountFen)
      this.kept.withdrawal = { amountFen, idempotencyKey: fresh() };
    this.write();
    return this.kept.withdrawal.idempotencyKey;
  }
  forgetWithdrawal(): void {
    delete this.kept.withdrawal;
    this.write();
  }

  private read(): Kept {
    const empty: Kept = { claimRecord: '', tokens: {}, tickets: [] };
    try {
      return { ...empty, ...(JSON.parse(this.store.getItem(this.key) ?? '{}') as Partial<Kept>) };
    } catch {
      return empty;
    }
  }
  private write(): void {
    try {
      this.store.setItem(this.key, JSON.stringify(this.kept));
    } catch {
      // A full or forbidden storage: the server has its own copy of everything that matters.
    }
  }
}
