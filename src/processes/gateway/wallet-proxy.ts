import httpProxy from '@fastify/http-proxy';
import type { FastifyInstance } from 'fastify';
import { RetryableFault } from '../../protocol/failures.ts';

const TIMEOUT_MS = 10_000;
const DELAY_MS = 500;

/** A gateway without the wallet's part sends its requests on, so that a phone knows one address. */
export async function forwardWallet(app: FastifyInstance, upstream: string): Promise<void> {
  for (const route of ['wallet', 'withdrawals'])
    await app.register(httpProxy, {
      upstream,
      prefix: `/v1/campaigns/:campaignId/${route}`,
      rewritePrefix: `/v1/campaigns/:campaignId/${route}`,
      http: { requestOptions: { timeout: TIMEOUT_MS } },
      replyOptions: {
        onError: (reply, { error }) => void reply.send(faultOf(error as NodeJS.ErrnoException)),
      },
    });
}

/** Nobody there: nothing was done. Anything else broke on the way: a withdrawal may have been made. */
function faultOf(cause: NodeJS.ErrnoException): RetryableFault {
  return codesOf(cause).some((code) => NOBODY_THERE.has(code))
    ? new RetryableFault('ledger-unavailable', 'no wallet process answers', DELAY_MS, { cause })
    : new RetryableFault('outcome-unknown', `the wallet did not answer: ${cause.message}`, DELAY_MS, {
        cause,
      });
}

const NOBODY_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Its own, and those of what caused it. */
function codesOf(error: unknown): string[] {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return [...(typeof code === 'string' ? [code] : []), ...(cause ? codesOf(cause) : [])];
}
