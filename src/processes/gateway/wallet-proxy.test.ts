import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import pino from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../tools/services.ts';
import { createApp } from './app.ts';
import { forwardWallet } from './wallet-proxy.ts';

const WALLET = '/v1/campaigns/gala/wallet';
const WITHDRAWALS = '/v1/campaigns/gala/withdrawals';

describe('a gateway that sends the wallet’s requests on', () => {
  let wallet: Server | undefined;
  afterEach(() => {
    wallet?.closeAllConnections();
    wallet?.close();
    wallet = undefined;
  });

  async function gateway(answer?: RequestListener) {
    const port = await freePort();
    if (answer) {
      wallet = createServer(answer).listen(port, '127.0.0.1');
      await once(wallet, 'listening');
    }
    const app = createApp({ logger: pino({ level: 'silent' }), onProblem: () => {} });
    await forwardWallet(app, `http://127.0.0.1:${port}`);
    return app;
  }

  it('passes question and answer through as they are', async () => {
    const app = await gateway((request, response) => {
      response.writeHead(202, { 'content-type': 'application/json' });
      response.end(JSON.stringify([request.method, request.url, request.headers.authorization]));
    });
    const headers = { authorization: 'Bearer me' };
    const answer = await app.inject({ method: 'POST', url: `${WITHDRAWALS}?x=1`, headers, payload: {} });
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toEqual(['POST', `${WITHDRAWALS}?x=1`, 'Bearer me']);
  });

  it('says that accounts can’t be reached when there is no wallet, and when to come again', async () => {
    const app = await gateway();
    const answer = await app.inject({ url: WALLET });
    expect(answer.statusCode).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.json()).toMatchObject({ code: 'ledger-unavailable', retryable: true });
  });

  it('does not know whether it was done when the wallet breaks off in the middle', async () => {
    const app = await gateway((request) => request.socket.destroy());
    const answer = await app.inject({ method: 'POST', url: WITHDRAWALS, payload: { amountFen: 1 } });
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'outcome-unknown', retryable: true });
  });
});
