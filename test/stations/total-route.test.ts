import { afterEach, describe, expect, it } from 'vitest';
import { createMemoryHotTotals } from '../../src/engines/embedded/hot-totals.ts';
import type { HotTotals } from '../../src/engines/ports.ts';
import { createApp } from '../../src/processes/gateway/app.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { totalRoutes } from '../../src/stations/9-total/http.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { testCampaign } from '../support/campaign.ts';
import { quiet } from '../support/postgres.ts';
import { aTotal } from '../support/totals.ts';

describe('GET …/total', () => {
  const campaign = testCampaign;
  const [phase] = campaign.phases;
  let app: ReturnType<typeof createApp>;
  afterEach(() => app.close());

  async function get(
    totals: Pick<HotTotals, 'read'>,
    id: string = campaign.id,
    atMs: number = phase!.opensAtMs,
  ) {
    app = createApp({ logger: quiet, onProblem: () => {} });
    await app.register(totalRoutes, {
      totals,
      campaign: (asked) => (asked === campaign.id ? campaign : undefined),
      clock: { now: () => instantMs(atMs), monotonicMs: () => 0 },
    });
    return app.inject({ method: 'GET', url: `/v1/campaigns/${id}/total` });
  }

  it('shows the phase that is on to anybody, and lets a cache keep it for a second', async () => {
    const totals = createMemoryHotTotals();
    totals.add(phase!.key, aTotal(1_250, 3));
    const answer = await get(totals);
    expect(answer.json()).toEqual({ phase: phase!.id, fen: 1_250, packets: 3 });
    expect(answer.headers['cache-control']).toBe('public, max-age=1');
  });

  it('says honestly that it does not know yet, and when to ask again; no cache keeps that', async () => {
    const answer = await get({
      read: async () => {
        throw new RetryableFault('totals-unavailable', 'no server has answered yet', 1_000);
      },
    });
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'totals-unavailable', retryable: true });
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.headers['cache-control']).toBeUndefined();
  });

  it('has nothing to show of a campaign that nobody knows, or before its first phase', async () => {
    const totals = createMemoryHotTotals();
    expect((await get(totals, 'other')).json()).toMatchObject({ status: 404, code: 'campaign-unknown' });
    await app.close();
    const early = Math.min(...campaign.phases.map(({ opensAtMs }) => opensAtMs)) - 1;
    expect((await get(totals, campaign.id, early)).json()).toMatchObject({
      status: 409,
      code: 'phase-closed',
    });
  });
});
