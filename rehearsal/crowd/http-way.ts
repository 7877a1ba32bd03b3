import type { Heard, ToldOfOpen, ToldOfShake, Way } from './ways.ts';

const DEADLINE_MS = 4_000;

export type Asked = { readonly status: number; readonly body: Record<string, unknown> } | undefined;

/** One HTTP request with a JSON answer; undefined when none came in time. */
export async function ask(
  url: string,
  session: string | undefined,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Asked> {
  try {
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(session === undefined ? {} : { authorization: `Bearer ${session}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

/** What came, as long as it is what was hoped for (`status`). */
export function heardOf<Told>(
  asked: Asked,
  status: number,
  told: (body: Asked & object) => Told,
): Heard<Told> {
  if (asked === undefined) return undefined;
  if (asked.status === status) return { told: told(asked) };
  return { refused: String(asked.body.code ?? asked.status), isFinal: asked.body.retryable === false };
}

/** A person behind HTTP and JSON. `route` is the campaign's. */
export function httpWay(route: string, session: string): Way {
  return {
    async shake(claimRecord) {
      const asked = await ask(`${route}/shakes`, session, claimRecord === '' ? {} : { claimRecord });
      return heardOf<ToldOfShake>(asked, 200, ({ body }) => ({
        ticket: body.prize === 'ticket' ? (body.ticket as string) : undefined,
        claimRecord: body.claimRecord as string | undefined,
      }));
    },
    async open(ticket) {
      const asked = await ask(`${route}/packets`, session, { ticket });
      return heardOf<ToldOfOpen>(asked, 200, ({ body }) => ({
        orderNumber: body.orderNumber as string,
        amountFen: body.amountFen as number,
        token: body.token as string,
      }));
    },
    async sendRubbish(random) {
      await ask(
        `${route}/${random() < 0.5 ? 'packets' : 'withdrawals'}`,
        session,
        { ticket: 'AAAA', amountFen: -1, surprise: true },
        { 'idempotency-key': 'x' },
      );
    },
    close() {},
  };
}
