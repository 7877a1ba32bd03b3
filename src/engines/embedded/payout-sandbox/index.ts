import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { Clock } from '../../../vocabulary/instant.ts';
import { answer, isWhole, readJson, type SandboxAnswer, startSandboxServer } from '../sandbox/server.ts';
import { createBehaviours } from './behaviour.ts';
import { openPayments, type Payment } from './payments.ts';

export { PAYOUT_MODES, type PayoutMode } from './behaviour.ts';
export type { CountedPayment } from './payments.ts';

export interface PayoutSandbox {
  readonly url: string;
  stop(): Promise<void>;
}

export interface PayoutSandboxOptions {
  /** 0 for any free one. */
  readonly port: number;
  /** Holds payments.jsonl (payments.ts). */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const OFFERED = 'POST /payouts, GET /payouts/:id, GET /payments, PUT /behaviour';

/**
 * A payout service to try the engine against: a real HTTP server on loopback with a memory on disk, so that a crash of
 * ours is none of its, and it can be told to misbehave (behaviour.ts). The same payout id again is the same payment;
 * with other content it is refused with 409. GET /payments lists them all with how often money moved.
 */
export async function startPayoutSandbox(options: PayoutSandboxOptions): Promise<PayoutSandbox> {
  const { clock, logger } = options;
  const payments = openPayments(options.folder);
  const behaviours = createBehaviours();
  const timers = new Set<NodeJS.Timeout>();

  function payLater(payment: Payment, afterMs: number, notifyUrl?: unknown): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      payments.write({ ...payment, state: 'paid', atMs: clock.now() });
      notify(notifyUrl, payment.payoutId);
    }, afterMs);
    timers.add(timer);
  }

  function pay(body: Record<string, unknown>): SandboxAnswer {
    const { payoutId, amountFen, payeeRef, notifyUrl } = body;
    if (typeof payoutId !== 'string' || !UUID.test(payoutId))
      return answer(400, { error: 'payoutId is a UUID in small letters' });
    if (!isWhole(amountFen, 1)) return answer(400, { error: 'amountFen is a whole number from 1' });
    if (typeof payeeRef !== 'string' || payeeRef === '' || payeeRef.length > 200)
      return answer(400, { error: 'payeeRef is a text of 1 to 200 characters' });
    const earlier = payments.get(payoutId);
    if (!earlier) return begin({ payoutId, amountFen, payeeRef }, notifyUrl);
    return earlier.amountFen === amountFen && earlier.payeeRef === payeeRef
      ? answer(200, earlier)
      : answer(409, { error: 'this payout id was used with other content' });
  }

  function begin(
    ask: Pick<Payment, 'payoutId' | 'amountFen' | 'payeeRef'>,
    notifyUrl: unknown,
  ): SandboxAnswer {
    const { mode, lateMs } = behaviours.for(ask.amountFen);
    const becomes = (state: Payment['state']): Payment => {
      const payment = { ...ask, state, atMs: clock.now() };
      payments.write(payment);
      return payment;
    };
    switch (mode) {
      case 'ok':
        return answer(200, becomes('paid'));
      case 'twice': {
        const payment = becomes('paid');
        notify(notifyUrl, ask.payoutId);
        notify(notifyUrl, ask.payoutId);
        return answer(200, payment);
      }
      case 'time-out-then-paid':
        becomes('paid');
        return 'silence';
      case 'time-out-not-done':
        return 'silence';
      case 'fail':
        return answer(500, { error: 'told to fail' });
      case 'fail-but-paid':
        becomes('paid');
        return answer(500, { error: 'told to fail, and paid' });
      case 'reject':
        return answer(422, { ...becomes('rejected'), reason: 'told to reject' });
      case 'late': {
        const payment = becomes('processing');
        payLater(payment, lateMs, notifyUrl);
        return answer(202, payment);
      }
    }
  }

  async function answerTo(request: IncomingMessage): Promise<SandboxAnswer> {
    const route = `${request.method} ${request.url}`;
    if (route === 'POST /payouts' || route === 'PUT /behaviour') {
      const body = await readJson(request);
      if (!body) return answer(400, { error: 'a JSON object is needed, as application/json' });
      if (route === 'POST /payouts') return pay(body);
      const told = behaviours.tell(body);
      return answer('error' in told ? 400 : 200, told);
    }
    if (route === 'GET /payments') return answer(200, payments.all());
    const id = /^GET \/payouts\/([0-9a-f-]{36})$/.exec(route)?.[1];
    if (!id) return answer(404, { error: OFFERED });
    const payment = payments.get(id);
    return payment ? answer(200, payment) : answer(404, { state: 'unheard-of' });
  }

  const server = await startSandboxServer({ port: options.port, answerTo, logger });
  // What was being worked on when we were killed is worked on again.
  for (const payment of payments.all()) {
    if (payment.state === 'processing') payLater(payment, behaviours.for(payment.amountFen).lateMs);
  }

  return {
    url: server.url,
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      await server.stop();
      payments.close();
    },
  };
}

/** Tells whoever asked, on this machine only; nobody waits for an answer. */
function notify(url: unknown, payoutId: string): void {
  if (typeof url !== 'string' || !/^http:\/\/(127\.0\.0\.1|localhost|\[::1\]):/.test(url)) return;
  const body = JSON.stringify({ payoutId });
  const told = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(2_000),
  });
  told.then((response) => response.body?.cancel()).catch(() => {});
}
