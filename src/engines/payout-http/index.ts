import type { Payout, PayoutAnswer, Withdrawal } from '../ports.ts';

export interface HttpPayoutOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** Where the payout may say that something changed; it is asked all the same. */
  readonly notifyUrl?: string;
}

const ANSWER_BYTES_MAX = 64 << 10;

/**
 * A payout behind HTTP: POST /payouts with the withdrawal's id as payout id, GET /payouts/:id. A time-out, a cut
 * connection and a 5xx say nothing about the money; only a 2xx or a final 4xx does.
 */
export function createHttpPayout(options: HttpPayoutOptions): Payout {
  const base = options.url.replace(/\/$/, '');

  async function ask(path: string, init: RequestInit): Promise<PayoutAnswer> {
    try {
      const response = await fetch(`${base}${path}`, {
        ...init,
        redirect: 'error',
        signal: AbortSignal.timeout(options.timeoutMs),
      });
      const text = await response.text();
      if (text.length > ANSWER_BYTES_MAX) return unknown('the answer is too large');
      return answerOf(response.status, text);
    } catch (error) {
      return unknown(error instanceof Error ? error.name : 'no answer');
    }
  }

  return {
    pay: (withdrawal: Withdrawal) =>
      ask('/payouts', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': withdrawal.id },
        body: JSON.stringify({
          payoutId: withdrawal.id,
          amountFen: Number(withdrawal.amountFen),
          payeeRef: String(withdrawal.account.actId),
          ...(options.notifyUrl === undefined ? {} : { notifyUrl: options.notifyUrl }),
        }),
      }),
    query: (withdrawal: Withdrawal) => ask(`/payouts/${withdrawal.id}`, { method: 'GET' }),
  };
}

const unknown = (reason: string): PayoutAnswer => ({ answer: 'unknown', reason });

function answerOf(status: number, text: string): PayoutAnswer {
  if (status >= 500 || status === 408 || status === 425 || status === 429) return unknown(`status ${status}`);
  let body: { state?: unknown; reason?: unknown };
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    return unknown(`status ${status} without a readable body`);
  }
  if (status === 404 && body.state === 'unheard-of') return { answer: 'unheard-of' };
  if (body.state === 'paid') return { answer: 'paid' };
  if (body.state === 'processing') return { answer: 'processing' };
  if (body.state === 'rejected')
    return { answer: 'rejected', reason: String(body.reason ?? 'no reason given') };
  return unknown(`status ${status} with a state that is not known`);
}
