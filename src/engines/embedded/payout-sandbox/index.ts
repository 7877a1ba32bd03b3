import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '../../../vocabulary/instant.ts';

/** How the sandbox treats the next payments (PUT /behaviour), to see what the engine makes of it. */
export const PAYOUT_MODES = [
  'ok',
  'time-out-then-paid',
  'time-out-not-done',
  'fail',
  'fail-but-paid',
  'reject',
  'twice',
  'late',
] as const;
export type PayoutMode = (typeof PAYOUT_MODES)[number];

interface Payment {
  readonly payoutId: string;
  readonly amountFen: number;
  readonly payeeRef: string;
  readonly state: 'paid' | 'processing' | 'rejected';
  readonly atMs: number;
}

export interface PayoutSandbox {
  readonly url: string;
  stop(): Promise<void>;
}

const BODY_BYTES_MAX = 16 << 10;

/**
 * A payout service to try the engine against: a real HTTP server on loopback with a memory on disk, so that a crash of
 * ours is none of its. `payments.jsonl` in its folder holds one line per change of a payment, fsynced before it is
 * answered: {"payoutId","amountFen","payeeRef","state","atMs"}; the last line of an id counts, and money moved exactly
 * when a line says "paid".
 */
export async function startPayoutSandbox(options: {
  port: number;
  folder: string;
  clock: Clock;
  logger: Logger;
}): Promise<PayoutSandbox> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const file = path.join(options.folder, 'payments.jsonl');
  const payments = readPayments(file);
  const fd = openSync(file, 'a', 0o600);
  const timers = new Set<NodeJS.Timeout>();
  let behaviour: { mode: PayoutMode; lateMs: number } = { mode: 'ok', lateMs: 500 };

  const write = (payment: Payment): void => {
    writeSync(fd, `${JSON.stringify(payment)}\n`);
    fdatasyncSync(fd);
    payments.set(payment.payoutId, payment);
  };
  const later = (delayMs: number, act: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, delayMs);
    timers.add(timer);
  };
  const notify = (url: unknown, payoutId: string): void => {
    if (typeof url !== 'string' || !/^http:\/\/(127\.0\.0\.1|localhost|\[::1\]):/.test(url)) return;
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ payoutId }),
    }).catch(() => {});
  };

  function pay(body: Record<string, unknown>, reply: Reply): void {
    const { payoutId, amountFen, payeeRef, notifyUrl } = body;
    if (
      typeof payoutId !== 'string' ||
      !/^[0-9a-f-]{36}$/.test(payoutId) ||
      !Number.isSafeInteger(amountFen) ||
      Number(amountFen) < 1 ||
      typeof payeeRef !== 'string'
    ) {
      return reply(400, {
        error: 'payoutId (a UUID), amountFen (a whole number from 1) and payeeRef are needed',
      });
    }
    const earlier = payments.get(payoutId);
    if (earlier)
      return earlier.amountFen === amountFen
        ? reply(200, earlier)
        : reply(409, { error: 'this payout id was used with another amount' });
    const payment = (state: Payment['state']): Payment => ({
      payoutId,
      amountFen: Number(amountFen),
      payeeRef,
      state,
      atMs: options.clock.now(),
    });
    switch (behaviour.mode) {
      case 'ok':
        write(payment('paid'));
        return reply(200, payment('paid'));
      case 'twice':
        write(payment('paid'));
        notify(notifyUrl, payoutId);
        notify(notifyUrl, payoutId);
        return reply(200, payment('paid'));
      case 'time-out-then-paid':
        return write(payment('paid'));
      case 'time-out-not-done':
        return undefined;
      case 'fail':
        return reply(500, { error: 'told to fail' });
      case 'fail-but-paid':
        write(payment('paid'));
        return reply(500, { error: 'told to fail, and paid' });
      case 'reject':
        write(payment('rejected'));
        return reply(422, { ...payment('rejected'), reason: 'told to reject' });
      case 'late':
        write(payment('processing'));
        later(behaviour.lateMs, () => {
          write(payment('paid'));
          notify(notifyUrl, payoutId);
        });
        return reply(202, payment('processing'));
    }
  }

  function behave(body: Record<string, unknown>, reply: Reply): void {
    const mode = PAYOUT_MODES.find((one) => one === body.mode);
    if (!mode) return reply(400, { error: `mode is one of ${PAYOUT_MODES.join(', ')}` });
    const lateMs = body.lateMs ?? behaviour.lateMs;
    if (!Number.isSafeInteger(lateMs) || Number(lateMs) < 0)
      return reply(400, { error: 'lateMs is a whole number of milliseconds' });
    behaviour = { mode, lateMs: Number(lateMs) };
    return reply(200, behaviour);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply: Reply = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const where = `${request.method} ${request.url}`;
    if (where === 'POST /payouts' || where === 'PUT /behaviour') {
      const body = await readJson(request);
      if (!body) return reply(400, { error: 'a JSON object is needed' });
      return where === 'PUT /behaviour' ? behave(body, reply) : pay(body, reply);
    }
    if (where === 'GET /payments') return reply(200, [...payments.values()]);
    const id = /^GET \/payouts\/([0-9a-f-]{36})$/.exec(where)?.[1];
    if (!id) return reply(404, { error: 'POST /payouts, GET /payouts/:id, GET /payments, PUT /behaviour' });
    const payment = payments.get(id);
    return payment ? reply(200, payment) : reply(404, { state: 'unheard-of' });
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => {
      options.logger.warn({ error: error.message }, 'the payout sandbox could not answer');
      response.destroy();
    });
  });
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  // A payment that was being worked on when we were killed is worked on again.
  for (const payment of payments.values())
    if (payment.state === 'processing') later(behaviour.lateMs, () => write({ ...payment, state: 'paid' }));

  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      closeSync(fd);
    },
  };
}

type Reply = (status: number, body: unknown) => void;

/** The payments on disk. A last line that was cut off was never answered, and is cut away. */
function readPayments(file: string): Map<string, Payment> {
  const payments = new Map<string, Payment>();
  if (!existsSync(file)) return payments;
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) {
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, Buffer.byteLength(whole));
    closeSync(fd);
  }
  for (const line of whole.split('\n')) {
    if (!line) continue;
    const payment = JSON.parse(line) as Payment;
    payments.set(payment.payoutId, payment);
  }
  return payments;
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > BODY_BYTES_MAX) return undefined;
  }
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body)
      ? (body as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
