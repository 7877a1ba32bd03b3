import { fromBase64Url, toBase64Url } from './base64url.ts';
import { Cabinet, type KeyValueStore, memoryStore } from './cabinet.ts';
import { Connection, type ConnectionState } from './connection.ts';
import { HongbaoProblem } from './problem.ts';
import { CALM_THROTTLE, ShakeCoalescer, type Throttle } from './shake-coalescer.ts';

export type { ConnectionState } from './connection.ts';
export { HongbaoProblem } from './problem.ts';
export type { Throttle } from './shake-coalescer.ts';

export interface Bilingual {
  readonly zh: string;
  readonly en: string;
}
export type Prize =
  /** `local`: answered on the phone, to be gentle with the server. */
  | { readonly prize: 'nothing'; readonly local: boolean }
  | { readonly prize: 'greeting'; readonly sponsorId: string; readonly text: Bilingual }
  | {
      readonly prize: 'ticket';
      readonly ticket: string;
      readonly sponsor: Bilingual;
      readonly sponsorId: string;
      readonly expiresAtMs: number;
    };

export interface Packet {
  readonly amountFen: number;
  readonly orderNumber: string;
  readonly bill: Bilingual;
  readonly sponsorId: string;
  readonly drawnAtMs: number;
}
export interface WalletLine {
  readonly kind: string;
  readonly ref: string;
  readonly atMs: number;
  readonly amountFen: number;
  readonly status: string;
  readonly bill: Bilingual;
}
export interface Page {
  readonly records: readonly WalletLine[];
  readonly nextCursor?: string;
}
export interface WalletOverview extends Page {
  readonly balanceFen: number;
  readonly totalIncomeFen: number;
  readonly creditedFen: number;
  readonly outstandingFen: number;
  readonly heldFen: number;
}
export interface Withdrawal {
  readonly withdrawalId: string;
  readonly state: string;
  readonly amountFen: number;
}
export interface CampaignInfo {
  readonly id: string;
  readonly title: Bilingual;
  readonly rain?: { readonly rainId: number; readonly startsAtMs: number; readonly endsAtMs: number };
  readonly nextRain?: { readonly rainId: number; readonly startsAtMs: number; readonly endsAtMs: number };
  readonly serverTimeMs: number;
}

export interface ClientOptions {
  /** Of the gateway, e.g. https://hongbao.example */
  readonly baseUrl: string;
  readonly campaignId: string;
  /** Something stable for the person on this phone; keeps two people's tokens apart. Never sent. */
  readonly person: string;
  /** A fresh session from the app's backend whenever one is needed. */
  readonly session: () => Promise<string>;
  readonly storage?: KeyValueStore;
  readonly nowMs?: () => number;
  readonly random?: () => number;
  readonly newKey?: () => string;
  readonly webSocket?: new (url: string, protocols: string[]) => WebSocket;
  readonly fetch?: typeof fetch;
  readonly onState?: (state: ConnectionState) => void;
  readonly onThrottle?: (throttle: Throttle) => void;
}

/** Only these say that a ticket will never open again; whatever else goes wrong, it is kept and tried again. */
const TICKET_IS_OVER = new Set([
  'ticket-invalid',
  'ticket-expired',
  'ticket-foreign',
  'person-cap-reached',
  'sponsor-cap-reached',
]);
/** Only these say that no money is held under a withdrawal's key; after anything else, the key asks again. */
const NOTHING_IS_HELD = new Set([
  'insufficient-balance',
  'amount-invalid',
  'phase-closed',
  'idempotency-key-reused',
]);

export type HongbaoClient = ReturnType<typeof createHongbaoClient>;

/** What an app embeds, in a browser and in Node: shaking, opening, the wallet, withdrawing. */
export function createHongbaoClient(options: ClientOptions) {
  const nowMs = options.nowMs ?? (() => Date.now());
  const random = options.random ?? Math.random;
  const newKey = options.newKey ?? (() => crypto.randomUUID());
  const base = options.baseUrl.replace(/\/$/, '');
  const route = `${base}/v1/campaigns/${encodeURIComponent(options.campaignId)}`;
  const cabinet = new Cabinet(options.storage ?? memoryStore(), options.campaignId, options.person);
  const coalescer = new ShakeCoalescer(random);
  let throttle = CALM_THROTTLE;
  const connection = new Connection({
    url: `${base.replace(/^http/, 'ws')}/v1/play`,
    campaignId: options.campaignId,
    session: options.session,
    webSocket: options.webSocket ?? WebSocket,
    random,
    onState: options.onState ?? (() => {}),
    onThrottle: (said) => {
      throttle = said;
      coalescer.obey(said);
      options.onThrottle?.(said);
    },
  });

  async function ask<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
    let response: Response;
    try {
      response = await (options.fetch ?? fetch)(`${route}${path}`, {
        ...init,
        headers: {
          authorization: `Bearer ${await options.session()}`,
          ...(init.body ? { 'content-type': 'application/json' } : {}),
          ...init.headers,
        },
      });
    } catch {
      throw new HongbaoProblem('unreachable', 'No connection', true);
    }
    const body = (await response.json().catch(() => ({}))) as Answer & {
      code?: string;
      title?: string;
      titleZh?: string;
      detail?: string;
      retryable?: boolean;
    };
    if (response.ok) return body;
    const title = body.title && body.titleZh ? { en: body.title, zh: body.titleZh } : undefined;
    throw new HongbaoProblem(
      body.code ?? 'unknown',
      body.detail ?? `status ${response.status}`,
      body.retryable ?? response.status >= 500,
      title,
    );
  }

  async function askShake(shakes: number): Promise<Prize> {
    const answer = await connection.request({
      case: 'shake',
      value: { $typeName: 'hongbao.v1.Shake', claimRecord: fromBase64Url(cabinet.claimRecord), shakes },
    });
    if (answer.case !== 'shakeResult') throw new HongbaoProblem('unknown', 'An answer of another kind', true);
    if (answer.value.claimRecord.length > 0) cabinet.claimRecord = toBase64Url(answer.value.claimRecord);
    const { prize } = answer.value;
    if (prize.case === 'greeting')
      return {
        prize: 'greeting',
        sponsorId: prize.value.sponsorId,
        text: { zh: prize.value.textZh, en: prize.value.textEn },
      };
    if (prize.case !== 'ticket') return { prize: 'nothing', local: false };
    const ticket = toBase64Url(prize.value.ticket);
    const expiresAtMs = Number(prize.value.expiresAtMs);
    cabinet.addTicket({ ticket, expiresAtMs });
    return {
      prize: 'ticket',
      ticket,
      sponsorId: prize.value.sponsorId,
      sponsor: { zh: prize.value.sponsorZh, en: prize.value.sponsorEn },
      expiresAtMs,
    };
  }

  return {
    connect: () => connection.connect(),
    close: () => connection.close(),
    campaign: () => ask<CampaignInfo>(''),
    throttle: () => throttle,

    /** May be called ten times a second; one request goes out per interval, the rest are answered here. */
    async shake(): Promise<Prize> {
      const turn = coalescer.shake(nowMs());
      if (!turn.ask) return { prize: 'nothing', local: true };
      try {
        return await askShake(turn.shakes);
      } catch (error) {
        // A record of another engine's making, e.g. after a reinstall, is of no use to anybody.
        if (error instanceof HongbaoProblem && error.code === 'claim-invalid') cabinet.claimRecord = '';
        coalescer.slowDown(nowMs());
        throw error;
      }
    },

    /** Opens a packet. After a lost answer, the same ticket gives the same packet. */
    async open(ticket: string): Promise<Packet> {
      try {
        const answer = await connection.request({
          case: 'open',
          value: { $typeName: 'hongbao.v1.Open', ticket: fromBase64Url(ticket) },
        });
        if (answer.case !== 'openResult')
          throw new HongbaoProblem('unknown', 'An answer of another kind', true);
        const { value } = answer;
        cabinet.addToken(value.orderNumber, toBase64Url(value.token));
        cabinet.dropTicket(ticket);
        return {
          amountFen: Number(value.amountFen),
          orderNumber: value.orderNumber,
          bill: { zh: value.billZh, en: value.billEn },
          sponsorId: value.sponsorId,
          drawnAtMs: Number(value.drawnAtMs),
        };
      } catch (error) {
        if (error instanceof HongbaoProblem && TICKET_IS_OVER.has(error.code)) cabinet.dropTicket(ticket);
        throw error;
      }
    },

    /** Packets that were dealt here and not opened yet. */
    unopened: () => cabinet.tickets(nowMs()),

    /** The wallet, with every token that this phone keeps counted in. */
    async wallet(): Promise<WalletOverview> {
      const overview = await ask<WalletOverview>('/wallet', {
        method: 'POST',
        body: JSON.stringify({ tokens: cabinet.tokens }),
      });
      cabinet.dropTokens(
        overview.records.filter((line) => line.status === 'credited').map((line) => line.ref),
      );
      return overview;
    },

    records: (cursor?: string) =>
      ask<Page>(`/wallet/records${cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`}`),

    /** Asking again for the same amount after a lost answer is the same withdrawal. */
    async withdraw(amountFen: number): Promise<Withdrawal> {
      const key = cabinet.withdrawalKey(amountFen, newKey);
      try {
        const answer = await ask<Withdrawal>('/withdrawals', {
          method: 'POST',
          headers: { 'idempotency-key': key },
          body: JSON.stringify({ amountFen, tokens: cabinet.tokens }),
        });
        cabinet.forgetWithdrawal();
        return answer;
      } catch (error) {
        if (error instanceof HongbaoProblem && NOTHING_IS_HELD.has(error.code)) cabinet.forgetWithdrawal();
        throw error;
      }
    },

    withdrawal: (id: string) => ask<Withdrawal>(`/withdrawals/${encodeURIComponent(id)}`),
  };
}
