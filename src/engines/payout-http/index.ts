import { fenToJson } from '../../vocabulary/fen.ts';
import { exchange, httpBase, parseJson } from '../http/exchange.ts';
import type { Payout, PayoutAnswer, Withdrawal } from '../ports.ts';

export interface HttpPayoutOptions {
  /** Where /payouts is served: http: or https:. */
  readonly url: string;
  /** For the whole exchange, the answer's body too. */
  readonly timeoutMs: number;
  /** Where the payout may say that something changed; it is asked all the same. */
  readonly notifyUrl?: string;
}

/**
 * A payout behind HTTP: POST /payouts with the withdrawal's id as payout id, GET /payouts/:id. Only a readable answer
 * about this very payment says anything: a time-out, a cut connection, a redirect, a 5xx, and a 4xx that does not say
 * "rejected" in so many words (an expired credential, a proxy) leave it unknown. Throws for a URL that is none.
 */
export function createHttpPayout(options: HttpPayoutOptions): Payout {
  const base = httpBase(options.url, 'the payout’s');

  async function ask(withdrawal: Withdrawal, path: string, init: RequestInit): Promise<PayoutAnswer> {
    const got = await exchange(`${base}${path}`, init, options.timeoutMs);
    return 'unknown' in got ? unknown(got.unknown) : answerOf(withdrawal, got.status, got.text);
  }

  return {
    pay: (withdrawal) =>
      ask(withdrawal, '/payouts', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': withdrawal.id },
        body: JSON.stringify({
          payoutId: withdrawal.id,
          amountFen: fenToJson(withdrawal.amountFen),
          payeeRef: String(withdrawal.account.actId),
          ...(options.notifyUrl === undefined ? {} : { notifyUrl: options.notifyUrl }),
        }),
      }),
    query: (withdrawal) => ask(withdrawal, `/payouts/${withdrawal.id}`, { method: 'GET' }),
  };
}

const unknown = (reason: string): PayoutAnswer => ({ answer: 'unknown', reason });

interface AnswerBody {
  readonly payoutId?: unknown;
  readonly amountFen?: unknown;
  readonly state?: unknown;
  readonly reason?: unknown;
}

function answerOf(withdrawal: Withdrawal, status: number, text: string): PayoutAnswer {
  if (status >= 500 || status === 408 || status === 425 || status === 429) return unknown(`status ${status}`);
  const body = parseJson(text) as AnswerBody | undefined | null;
  if (typeof body !== 'object' || body === null) return unknown(`status ${status} without a readable body`);
  if (status === 404 && body.state === 'unheard-of') return { answer: 'unheard-of' };
  if (body.payoutId !== withdrawal.id || body.amountFen !== fenToJson(withdrawal.amountFen))
    return unknown(`status ${status}, and the body is not about this payment`);
  switch (body.state) {
    case 'paid':
      return status < 300 ? { answer: 'paid' } : unknown(`"paid" under status ${status}`);
    case 'processing':
      return status < 300 ? { answer: 'processing' } : unknown(`"processing" under status ${status}`);
    case 'rejected':
      return { answer: 'rejected', reason: String(body.reason ?? 'no reason given').slice(0, 200) };
    default:
      return unknown(`status ${status} with a state that is not known`);
  }
}
