import { isBase64Url } from './base64url.ts';
import { type KeyValueStore, safeStore } from './safe-store.ts';

export interface KeptTicket {
  /** base64url */
  readonly ticket: string;
  readonly expiresAtMs: number;
}
export interface KeptToken {
  readonly orderNumber: string;
  /** base64url */
  readonly token: string;
}
/** A withdrawal that was asked for and whose answer is not known yet. */
export interface UnconfirmedWithdrawal {
  readonly amountFen: number;
  readonly askedAtMs: number;
}

export interface CabinetOptions {
  readonly store: KeyValueStore;
  readonly campaignId: string;
  readonly person: string;
  readonly nowMs: () => number;
}

/** What the phone holds for one person in one campaign. Bounded; never throws; other tabs' entries are left alone. */
export interface Cabinet {
  claimRecord(): string;
  keepClaimRecord(record: string): void;
  /** Oldest first; at most what the server takes at once. */
  tokens(): KeptToken[];
  keepToken(orderNumber: string, token: string): void;
  dropTokens(orderNumbers: Iterable<string>): void;
  /** Those that can still be opened, the one that ends soonest first. */
  tickets(nowMs: number): KeptTicket[];
  keepTicket(ticket: KeptTicket): void;
  dropTicket(ticket: string): void;
  /** The key under which this amount is being withdrawn: the one whose answer got lost, or a fresh one. */
  withdrawalKey(amountFen: number, fresh: () => string): string;
  /** Once its end is known. A key that has taken its place meanwhile stays. */
  forgetWithdrawal(amountFen: number, key: string): void;
  unconfirmedWithdrawals(): UnconfirmedWithdrawal[];
}

const TOKENS_MAX = 200;
const TICKETS_MAX = 10;
/** A phone's clock may be wrong, and a ticket is somebody's packet: it is removed long after it has ended. */
const TICKET_KEPT_AFTER_MS = 24 * 3_600_000;
const NUMBERED = /^([0-9]{1,16})\.(.+)$/s;

interface Entry {
  /** Behind the drawer's name in the key. */
  readonly name: string;
  /** The moment in ms that stands before the text. */
  readonly atMs: number;
  readonly text: string;
}

/**
 * Every token, ticket and pending withdrawal is an entry of its own, read anew each time: localStorage has no
 * transactions, so two tabs that wrote one shared text would each undo what the other has kept. An entry that can't
 * be read is passed over and cleared away; the others stay.
 */
export function createCabinet({ store, campaignId, person, nowMs }: CabinetOptions): Cabinet {
  const safe = safeStore(store);
  // Encoded, so that no id can reach into another one's entries.
  const prefix = `hongbao:${encodeURIComponent(campaignId)}:${encodeURIComponent(person)}:`;
  const claimKey = `${prefix}claim`;

  const keyOf = (drawer: string, name: string | number): string => `${prefix}${drawer}:${name}`;
  const put = (drawer: string, name: string | number, atMs: number, text: string): void =>
    safe.set(keyOf(drawer, name), `${atMs}.${text}`);

  function entry(key: string, drawer: string, isText: (text: string) => boolean): Entry | undefined {
    const match = NUMBERED.exec(safe.get(key) ?? '');
    if (!match || !isText(match[2]!)) return undefined;
    return { name: key.slice(keyOf(drawer, '').length), atMs: Number(match[1]), text: match[2]! };
  }

  /** A drawer's entries by time. */
  function entries(drawer: string, isText: (text: string) => boolean): Entry[] {
    const found: Entry[] = [];
    for (const key of safe.keys(keyOf(drawer, ''))) {
      const read = entry(key, drawer, isText);
      if (read) found.push(read);
      else safe.remove(key);
    }
    return found.sort((one, other) => one.atMs - other.atMs || (one.name < other.name ? -1 : 1));
  }

  /** Makes room for the newest. */
  const bound = (drawer: string, max: number, all: readonly Entry[]): void => {
    for (const { name } of all.slice(0, Math.max(0, all.length - max))) safe.remove(keyOf(drawer, name));
  };

  return {
    claimRecord() {
      const record = safe.get(claimKey) ?? '';
      return isBase64Url(record) ? record : '';
    },
    keepClaimRecord: (record) => safe.set(claimKey, record),

    tokens: () =>
      entries('token', isBase64Url)
        .slice(-TOKENS_MAX)
        .map(({ name, text }) => ({ orderNumber: name, token: text })),
    keepToken(orderNumber, token) {
      put('token', orderNumber, nowMs(), token);
      bound('token', TOKENS_MAX, entries('token', isBase64Url));
    },
    dropTokens(orderNumbers) {
      for (const orderNumber of orderNumbers) safe.remove(keyOf('token', orderNumber));
    },

    tickets: (now) =>
      entries('ticket', isBase64Url)
        .filter(({ atMs }) => atMs > now)
        .map(({ atMs, text }) => ({ ticket: text, expiresAtMs: atMs })),
    keepTicket({ ticket, expiresAtMs }) {
      put('ticket', ticket, expiresAtMs, ticket);
      const all = entries('ticket', isBase64Url);
      for (const { name, atMs } of all)
        if (atMs + TICKET_KEPT_AFTER_MS < nowMs()) safe.remove(keyOf('ticket', name));
      bound('ticket', TICKETS_MAX, all);
    },
    dropTicket: (ticket) => safe.remove(keyOf('ticket', ticket)),

    withdrawalKey(amountFen, fresh) {
      const key = keyOf('withdrawal', amountFen);
      const pending = entry(key, 'withdrawal', () => true);
      if (pending) return pending.text;
      put('withdrawal', amountFen, nowMs(), fresh());
      // Read again: where another tab was faster by a hair, both ask under the one key that stands there.
      return entry(key, 'withdrawal', () => true)!.text;
    },
    forgetWithdrawal(amountFen, idempotencyKey) {
      const key = keyOf('withdrawal', amountFen);
      if (entry(key, 'withdrawal', () => true)?.text === idempotencyKey) safe.remove(key);
    },
    unconfirmedWithdrawals: () =>
      entries('withdrawal', () => true)
        .filter(({ name }) => /^[1-9][0-9]{0,15}$/.test(name))
        .map(({ name, atMs }) => ({ amountFen: Number(name), askedAtMs: atMs })),
  };
}
