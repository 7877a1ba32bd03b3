import { fenToJson } from '../../vocabulary/fen.ts';
import type { Payout, PayoutAnswer, Withdrawal } from '../ports.ts';
import { readBounded } from './read-bounded.ts';

export interface HttpPayoutOptions {
  /** Where /payouts is served: http: or https:. */
  readonly url: string;
  /** For the whole exchange, the answer's body too. */
  readonly timeoutMs: number;
  /** Where the payout may say that something changed; it is asked all the same. */
  readonly notifyUrl?: string;
}

const ANSWER_BYTES_MAX = 64 << 10;

/**
 * A payout behind HTTP: POST /payouts with the withdrawal's id as payout id, GET /payouts/:id. Only a readable answer
 * about this very payment says anything: a time-out, a cut connection, a redirect, a 5xx, and a 4xx that does not say
 * "rejected" in so many words (an expired credential, a proxy) leave it unknown. Throws for a URL that is none.
 */
export function createHttpPayout(options: HttpPayoutOptions): Payout {
  const base = new URL(options.url);
  if (base.protocol !== 'http:' && base.protocol !== 'https:')
    throw new Error(`the payout's address starts with ${base.protocol}, not http: or https:`);
  const urlOf = (path: string) => `${base.origin}${base.pathname.replace(/\/$/, '')}${path}`;

  async function ask(withdrawal: Withdrawal, path: string, init: RequestInit): Promise<PayoutAnswer> {
    try {
      const signal = AbortSignal.timeout(options.timeoutMs);
      const response = await fetch(urlOf(path), { ...init, redirect: 'error', signal });
      const text = await readBounded(response, ANSWER_BYTES_MAX);
      return text === undefined
        ? unknown('the answer is too large')
        : answerOf(withdrawal, response.status, text);
    } catch (error) {
      return unknown(error instanceof Error ? error.name : 'no answer');
    }
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
  const body = parse(text);
  if (!body) return unknown(`status ${status} without a readable body`);
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

function parse(text: string): AnswerBody | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}
