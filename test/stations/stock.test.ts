import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { Allotments, SceneStock, UpstreamCredential } from '../../src/engines/ports.ts';
import { createApp } from '../../src/processes/gateway/app.ts';
import { RetryableFault } from '../../src/protocol/failures.ts';
import { createStock, type Stock } from '../../src/stations/3-grant/stock.ts';
import { stockRoutes } from '../../src/stations/3-grant/stock-http.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { CampaignId, PhaseKey, SceneId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { LIVE_CLOSES_MS, LIVE_OPENS_MS, testCampaign } from '../support/campaign.ts';
import { quiet } from '../support/postgres.ts';

const live = 3 as PhaseKey;
const [cash, card] = ['cash' as SceneId, 'card' as SceneId];
const budget = (packets: number) => ({ packets, fen: BigInt(packets * 100) as Fen });

describe('stock', () => {
  let nowMs: number;
  let asked: { phaseKey: PhaseKey; sceneIds: readonly SceneId[] }[];
  let left: number;
  let answer: () => Promise<void>;
  let stock: Stock;
  const clock = { now: () => instantMs(LIVE_OPENS_MS + nowMs), monotonicMs: () => nowMs };
  const allotments: Pick<Allotments, 'stock'> = {
    async stock(phaseKey, sceneIds) {
      asked.push({ phaseKey, sceneIds });
      await answer();
      return sceneIds.map(
        (sceneId): SceneStock => ({
          sceneId,
          total: budget(100),
          remaining: budget(left),
          leased: budget(10),
          given: budget(90 - left),
          available: budget(left - 1),
          low: left < 10,
        }),
      );
    },
  };
  beforeEach(() => {
    nowMs = 0;
    asked = [];
    left = 50;
    answer = async () => {};
    stock = createStock(allotments, clock);
  });

  const remaining = async (sceneId = cash) =>
    (await stock.read(live, [sceneId])).scenes.get(sceneId)!.remaining.packets;
  const away = async () => {
    throw new RetryableFault('ledger-unavailable', 'away', 1);
  };

  it('is read once a second, whoever asks how often, and says of when it is', async () => {
    expect(await Promise.all([remaining(), remaining(), remaining()])).toEqual([50, 50, 50]);
    left = 40;
    nowMs = 999;
    expect(await remaining()).toBe(50);
    expect((await stock.read(live, [cash])).asOfMs).toBe(LIVE_OPENS_MS);
    expect(asked).toHaveLength(1);
    nowMs = 1_000;
    expect(await remaining()).toBe(40);
    expect((await stock.read(live, [cash])).asOfMs).toBe(LIVE_OPENS_MS + 1_000);
  });

  it('looks at once for a scene that nobody asked for before, and answers only what was asked', async () => {
    await remaining();
    const both = await stock.read(live, [card]);
    expect([...both.scenes.keys()]).toEqual([card]);
    expect(asked.at(-1)!.sceneIds).toEqual([cash, card]);
  });

  it('answers with what is known last while the budgets can’t be read, and the fault when nothing is', async () => {
    answer = away;
    await expect(remaining()).rejects.toThrow('away');
    answer = async () => {};
    expect(await remaining()).toBe(50);
    answer = away;
    nowMs = 5_000;
    expect(await remaining()).toBe(50);
    expect((await stock.read(live, [cash])).asOfMs).toBe(LIVE_OPENS_MS);
  });

  it('says at once whether a scene is low, as far as it knows, and looks it up for the next', async () => {
    left = 5;
    expect(stock.isLow(live, cash)).toBe(false);
    await expect.poll(() => stock.isLow(live, cash)).toBe(true);
    left = 50;
    nowMs = 1_000;
    expect(stock.isLow(live, cash)).toBe(true);
    await expect.poll(() => stock.isLow(live, cash)).toBe(false);
    expect(asked).toHaveLength(2);
  });

  it('leaves a database that is away alone for a second, when nobody waits', async () => {
    answer = away;
    stock.isLow(live, cash);
    await expect.poll(() => asked.length).toBe(1);
    await new Promise<void>(setImmediate);
    for (let times = 0; times < 100; times += 1) stock.isLow(live, cash);
    expect(asked).toHaveLength(1);
    nowMs = 1_000;
    stock.isLow(live, cash);
    expect(asked).toHaveLength(2);
  });

  describe('over HTTP', () => {
    let app: FastifyInstance;
    const two = testCampaign.scenes.get(cash)!;
    const campaign: CampaignSnapshot = {
      ...testCampaign,
      scenes: new Map([
        [cash, two],
        [card, { ...two, id: card }],
      ]),
    };
    const credential: UpstreamCredential = {
      name: 'show',
      campaignId: 'gala' as CampaignId,
      scenes: new Set([cash]),
    };
    beforeEach(async () => {
      app = createApp({ logger: quiet, onProblem: () => {} });
      await app.register(stockRoutes, {
        stock,
        clock,
        credentialOf: async (secret) =>
          secret === 'mine'
            ? credential
            : secret === 'other'
              ? { ...credential, campaignId: 'fair' as CampaignId }
              : undefined,
        campaign: (id) => (id === 'gala' ? campaign : undefined),
      });
    });
    afterEach(() => app.close());
    const get = async (query: string, secret = 'mine') => {
      const { statusCode, body } = await app.inject({
        url: `/v1/stock?${query}`,
        headers: { authorization: `Bearer ${secret}` },
      });
      return { status: statusCode, ...JSON.parse(body) };
    };

    it('tells a service what its scenes have left', async () => {
      const scene = {
        sceneId: 'cash',
        total: { packets: 100, fen: 10_000 },
        remaining: { packets: 50, fen: 5_000 },
        leased: { packets: 10, fen: 1_000 },
        given: { packets: 40, fen: 4_000 },
        available: { packets: 49, fen: 4_900 },
        low: false,
      };
      const told = { status: 200, asOfMs: LIVE_OPENS_MS, scenes: [scene] };
      expect(await get('campaignId=gala&sceneId=cash')).toEqual(told);
      expect(await get('campaignId=gala')).toEqual(told);
      expect(asked).toHaveLength(1);
    });

    it.each([
      ['campaignId=gala&sceneId=cash', 'nobody', 401, 'credential-invalid'],
      ['campaignId=gala&sceneId=card', 'mine', 403, 'forbidden'],
      ['campaignId=gala', 'other', 403, 'forbidden'],
      ['campaignId=fair', 'mine', 404, 'campaign-unknown'],
      ['campaignId=gala&sceneId=none', 'mine', 404, 'scene-unknown'],
      ['sceneId=cash', 'mine', 400, 'malformed'],
    ])('%s by %s: %d %s', async (query, secret, status, code) => {
      expect(await get(query, secret)).toMatchObject({ status, code });
      expect(asked).toEqual([]);
    });

    it('has none before the first phase and after the last, and says when the budgets can’t be read', async () => {
      nowMs = LIVE_CLOSES_MS - LIVE_OPENS_MS;
      expect(await get('campaignId=gala')).toMatchObject({ code: 'phase-closed' });
      nowMs = 0;
      answer = away;
      expect(await get('campaignId=gala')).toMatchObject({ status: 503, retryable: true });
    });
  });
});
