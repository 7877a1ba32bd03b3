import { Agent, request } from 'node:http';

export interface Answer {
  readonly status: number;
  // What the engine says is looked at field by field by those who asked; nothing of its types is known here.
  // biome-ignore lint/suspicious/noExplicitAny: an answer from outside
  readonly body: any;
}

export interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly session?: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
}

const TIMEOUT_MS = 5_000;

/** Asks once. Rejects when no whole answer came: then nobody knows what has happened. */
export type Wire = (ask: Ask) => Promise<Answer>;

export function createWire(url: string): Wire & { close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const wire = (ask: Ask): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const body = ask.body === undefined ? undefined : JSON.stringify(ask.body);
      const sent = request(`${url}${ask.path}`, {
        agent,
        method: ask.method ?? (body === undefined ? 'GET' : 'POST'),
        timeout: TIMEOUT_MS,
        headers: {
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          ...(ask.session === undefined ? {} : { authorization: `Bearer ${ask.session}` }),
          ...(ask.idempotencyKey === undefined ? {} : { 'idempotency-key': ask.idempotencyKey }),
        },
      });
      sent.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          try {
            if (!response.complete) throw new Error('the answer was cut off');
            const text = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) });
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
      sent.on('error', reject);
      sent.end(body);
    });
  return Object.assign(wire, { close: () => agent.destroy() });
}
