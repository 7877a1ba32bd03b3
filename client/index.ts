import type {
  AwardLine,
  CampaignInfo,
  GivenTotal,
  Packet,
  Page,
  Prize,
  WalletOverview,
  Withdrawal,
} from './answers.ts';
import { fromBase64Url, isBase64Url, toBase64Url } from './base64url.ts';
import { type Cabinet, createCabinet, type KeptTicket, type UnconfirmedWithdrawal } from './cabinet.ts';
import { type ConnectionState, createConnection } from './connection.ts';
import { createEmitter } from './emitter.ts';
import { createAsk } from './http.ts';
import type { SocketConstructor } from './link.ts';
import { HongbaoProblem } from './problem.ts';
import { type KeyValueStore, memoryStore } from './safe-store.ts';
import { createSessionKeeper } from './session-keeper.ts';
import { CALM_THROTTLE, ShakeCoalescer, type Throttle } from './shake-coalescer.ts';
import { realTimers, type Timers } from './timers.ts';

export type * from './answers.ts';
export type { KeptTicket, UnconfirmedWithdrawal } from './cabinet.ts';
export type { ConnectionState } from './connection.ts';
export type { SocketConstructor } from './link.ts';
export { HongbaoProblem } from './problem.ts';
export { type KeyValueStore, memoryStore } from './safe-store.ts';
export type { Throttle } from './shake-coalescer.ts';

export interface ClientEvents {
  /** The connection's state, whenever it changes. */
  readonly state: ConnectionState;
  /** How often the server wants to be asked from now on. */
  readonly throttle: Throttle;
}

export interface ClientOptions {
  /** Of the gateway, e.g. https://hongbao.example */
  readonly baseUrl: string;
  readonly campaignId: string;
  /** A session from the app's backend. Called when the last one is about to end, or was refused. */
  readonly session: () => Promise<string>;
  /**
   * Something stable for the person on this phone; keeps two people's tokens apart, is never sent. By default taken
   * from the session's claims (app and user).
   */
  readonly person?: string;
  /** localStorage, or anything of its shape; by default memory, which forgets. */
  readonly storage?: KeyValueStore;
  /** Node before 22 has none: hand in that of `ws`. */
  readonly webSocket?: SocketConstructor;
  readonly fetch?: typeof fetch;
  /** How long to wait for any one answer; 8 s by default. */
  readonly answerWithinMs?: number;
  readonly nowMs?: () => number;
  readonly random?: () => number;
  readonly newKey?: () => string;
  readonly timers?: Timers;
}

/** What an app embeds, in a browser and in Node. Every promise rejects with a HongbaoProblem, and with nothing else. */
export interface HongbaoClient {
  /** Calls back on every such event; gives back how to stop. */
  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: (payload: ClientEvents[Name]) => void,
  ): () => void;
  connect(): Promise<void>;
  close(): void;
  /** How often the server wants to be asked. */
  throttle(): Throttle;
  campaign(): Promise<CampaignInfo>;
  /** What everybody together was given so far; at most a second or two old. It may go down when servers change: keep the larger. */
  total(): Promise<GivenTotal>;
  /** May be called ten times a second; one request goes out per interval, the rest are answered here. */
  shake(): Promise<Prize>;
  /** Opens a packet. After a lost answer, the same ticket gives the same packet. */
  open(ticket: string): Promise<Packet>;
  /** Packets that were dealt to this person here and not opened yet, the one that ends soonest first. */
  unopened(): Promise<KeptTicket[]>;
  /** The wallet, with every token that this phone keeps counted in. */
  wallet(): Promise<WalletOverview>;
  /** Lines behind a page's `nextCursor`. */
  records(cursor?: string): Promise<Page>;
  /** Marks an award as used; asking again for the same one changes nothing. */
  useAward(orderNumber: string): Promise<AwardLine>;
  /** Asking again for the same amount after a lost answer is the same withdrawal. */
  withdraw(amountFen: number): Promise<Withdrawal>;
  withdrawal(withdrawalId: string): Promise<Withdrawal>;
  /** Withdrawals whose answer got lost; `withdraw` with the amount asks what became of them. */
  unconfirmedWithdrawals(): Promise<UnconfirmedWithdrawal[]>;
}

const ANSWER_WITHIN_MS = 8_000;
/** Only these say that a ticket will never open again; whatever else goes wrong, it is kept and tried again. */
const TICKET_IS_OVER: ReadonlySet<string> = new Set([
  'ticket-invalid',
  'ticket-expired',
  'ticket-foreign',
  'person-cap-reached',
  'sponsor-cap-reached',
]);
const CLAIM_IS_STRANGE: ReadonlySet<string> = new Set(['claim-invalid']);
/** Only these say that a token will never count; a phase or a key that is strange now may be known again later. */
const TOKEN_IS_OVER: ReadonlySet<string> = new Set([
  'token-malformed',
  'token-signature-invalid',
  'token-undecryptable',
  'token-foreign',
  'token-wrong-campaign',
]);
/** Only these say that no money is held under a withdrawal's key; after anything else, the key asks again. */
const NOTHING_IS_HELD: ReadonlySet<string> = new Set([
  'insufficient-balance',
  'amount-invalid',
  'idempotency-key-reused',
]);

const isOneOf = (codes: ReadonlySet<string>, error: unknown): boolean =>
  error instanceof HongbaoProblem && codes.has(error.code);
/** Perhaps not credited yet: then its token is still of use. */
const isOnItsWay = (award: AwardLine): boolean => award.state === 'granted';
const isOfAnotherKind = () => new HongbaoProblem('unknown', 'An answer of another kind', true);

export function createHongbaoClient(options: ClientOptions): HongbaoClient {
  const nowMs = options.nowMs ?? (() => Date.now());
  const random = options.random ?? Math.random;
  const newKey = options.newKey ?? (() => crypto.randomUUID());
  const timers = options.timers ?? realTimers;
  const answerWithinMs = options.answerWithinMs ?? ANSWER_WITHIN_MS;
  const base = options.baseUrl.replace(/\/+$/, '');
  const events = createEmitter<ClientEvents>();
  const coalescer = new ShakeCoalescer(random);
  const sessions = createSessionKeeper({
    fetch: options.session,
    person: options.person,
    nowMs,
    timers,
    answerWithinMs,
  });
  let throttle = CALM_THROTTLE;
  let serverAheadMs = 0;
  let known: Cabinet | undefined;

  const cabinet = async (): Promise<Cabinet> => {
    const person = await sessions.person();
    known ??= createCabinet({
      store: options.storage ?? memoryStore(),
      campaignId: options.campaignId,
      person,
      nowMs,
    });
    return known;
  };

  const connection = createConnection({
    url: `${base.replace(/^http/, 'ws')}/v1/play`,
    campaignId: options.campaignId,
    sessions,
    socket: options.webSocket ?? globalSocket(),
    random,
    timers,
    answerWithinMs,
    onState: (state) => events.emit('state', state),
    onThrottle: (said) => {
      throttle = said;
      coalescer.obey(said);
      events.emit('throttle', said);
    },
    onServerTime: (serverTimeMs) => {
      serverAheadMs = serverTimeMs - nowMs();
    },
  });
  const ask = createAsk({
    route: `${base}/v1/campaigns/${encodeURIComponent(options.campaignId)}`,
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    sessions,
    timers,
    answerWithinMs,
  });

  async function askShake(shakes: number): Promise<Prize> {
    const drawer = await cabinet();
    const claimRecord = fromBase64Url(drawer.claimRecord());
    const answer = await connection.request({
      case: 'shake',
      value: { $typeName: 'hongbao.v1.Shake', claimRecord, shakes },
    });
    if (answer.case !== 'shakeResult') throw isOfAnotherKind();
    if (answer.value.claimRecord.length > 0) drawer.keepClaimRecord(toBase64Url(answer.value.claimRecord));
    const { prize } = answer.value;
    if (prize.case === 'greeting') {
      const { sponsorId, textZh, textEn } = prize.value;
      return { prize: 'greeting', sponsorId, text: { zh: textZh, en: textEn } };
    }
    if (prize.case !== 'ticket') return { prize: 'nothing', local: false };
    const { sponsorId, sponsorZh, sponsorEn } = prize.value;
    const kept = { ticket: toBase64Url(prize.value.ticket), expiresAtMs: Number(prize.value.expiresAtMs) };
    drawer.keepTicket(kept);
    return { prize: 'ticket', ...kept, sponsorId, sponsor: { zh: sponsorZh, en: sponsorEn } };
  }

  /** A claim record of another engine's making, e.g. after a change of keys, is of no use: once more without it. */
  async function askShakeAnew(shakes: number): Promise<Prize> {
    try {
      return await askShake(shakes);
    } catch (error) {
      if (!isOneOf(CLAIM_IS_STRANGE, error)) throw error;
      (await cabinet()).keepClaimRecord('');
      return askShake(shakes);
    }
  }

  /** What the page says is credited has no need of its token any more. */
  const dropCredited = (drawer: Cabinet, page: Page): void =>
    drawer.dropTokens(page.records.filter((line) => line.status === 'credited').map((line) => line.ref));

  return {
    on: events.on,
    connect: () => connection.connect(),
    close: () => connection.close(),
    throttle: () => throttle,
    total: () => ask<GivenTotal>('/total', ['phase', 'fen', 'packets']),
    campaign: () => ask<CampaignInfo>('', ['id', 'title', 'serverTimeMs']),

    async shake() {
      const turn = coalescer.shake(nowMs());
      if (!turn.ask) return { prize: 'nothing', local: true };
      try {
        const prize = await askShakeAnew(turn.shakes);
        coalescer.answered();
        return prize;
      } catch (error) {
        if (error instanceof HongbaoProblem && error.retryable) coalescer.slowDown();
        throw error;
      }
    },

    async open(ticket) {
      if (!isBase64Url(ticket)) throw new HongbaoProblem('ticket-invalid', 'Not a ticket', false);
      const drawer = await cabinet();
      try {
        const answer = await connection.request({
          case: 'open',
          value: { $typeName: 'hongbao.v1.Open', ticket: fromBase64Url(ticket) },
        });
        if (answer.case !== 'openResult') throw isOfAnotherKind();
        const { value } = answer;
        drawer.keepToken(value.orderNumber, toBase64Url(value.token));
        drawer.dropTicket(ticket);
        return {
          awardType: value.awardType || 'cash',
          amountFen: Number(value.amountFen),
          orderNumber: value.orderNumber,
          bill: { zh: value.billZh, en: value.billEn },
          sponsorId: value.sponsorId,
          drawnAtMs: Number(value.drawnAtMs),
        };
      } catch (error) {
        if (isOneOf(TICKET_IS_OVER, error)) drawer.dropTicket(ticket);
        throw error;
      }
    },

    unopened: async () => (await cabinet()).tickets(nowMs() + serverAheadMs),

    async wallet() {
      const drawer = await cabinet();
      const shown = drawer.tokens();
      const overview = await ask<WalletOverview>('/wallet', ['balanceFen', 'records'], {
        method: 'POST',
        body: { tokens: shown.map(({ token }) => token) },
      });
      const refused = new Map((overview.refusedTokens ?? []).map(({ index, code }) => [index, code]));
      dropCredited(drawer, overview);
      // Nothing is outstanding: whatever was shown and taken is credited, on whichever page its line stands.
      const allCredited = overview.outstandingFen === 0 && !overview.awards?.some(isOnItsWay);
      const isOver = (code: string | undefined): boolean =>
        code === undefined ? allCredited : TOKEN_IS_OVER.has(code);
      drawer.dropTokens(
        shown.filter((_, index) => isOver(refused.get(index))).map(({ orderNumber }) => orderNumber),
      );
      return overview;
    },

    async records(cursor) {
      const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
      const page = await ask<Page>(`/wallet/records${query}`, ['records']);
      dropCredited(await cabinet(), page);
      return page;
    },

    useAward: (orderNumber) =>
      ask<AwardLine>(`/awards/${encodeURIComponent(orderNumber)}/use`, ['orderNumber', 'state'], {
        method: 'POST',
      }),

    async withdraw(amountFen) {
      if (!Number.isSafeInteger(amountFen) || amountFen <= 0)
        throw new HongbaoProblem('amount-invalid', 'Whole fen, more than none', false);
      const drawer = await cabinet();
      const key = drawer.withdrawalKey(amountFen, newKey);
      try {
        const answer = await ask<Withdrawal>('/withdrawals', ['withdrawalId', 'state', 'amountFen'], {
          method: 'POST',
          headers: { 'idempotency-key': key },
          body: { amountFen, tokens: drawer.tokens().map(({ token }) => token) },
        });
        drawer.forgetWithdrawal(amountFen, key);
        return answer;
      } catch (error) {
        if (isOneOf(NOTHING_IS_HELD, error)) drawer.forgetWithdrawal(amountFen, key);
        throw error;
      }
    },
    withdrawal: (id) =>
      ask<Withdrawal>(`/withdrawals/${encodeURIComponent(id)}`, ['withdrawalId', 'state', 'amountFen']),
    unconfirmedWithdrawals: async () => (await cabinet()).unconfirmedWithdrawals(),
  };
}

function globalSocket(): SocketConstructor {
  if (typeof WebSocket === 'undefined')
    throw new Error('This Node has no WebSocket: hand one in, webSocket: (await import("ws")).WebSocket');
  return WebSocket;
}
