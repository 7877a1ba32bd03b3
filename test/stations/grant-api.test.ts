import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  GrantAskSchema,
  GrantBatchOutcomeSchema,
  GrantBatchSchema,
  GrantOutcomeSchema,
} from '../../src/protocol/gen/hongbao/v1/grant_pb.ts';
import { AWARD_TYPES } from '../../src/vocabulary/award-type.ts';
import type { ActId } from '../../src/vocabulary/ids.ts';
import { createGrantWorld, type Fate, type GrantWorld, grantApp, SECRET } from '../support/grants.ts';

describe('the grant API', () => {
  let world: GrantWorld;
  let app: FastifyInstance;
  let fates: Fate[];
  let may: { low: Set<string>; actIdOf?: (user: string) => Promise<ActId> };

  beforeEach(async () => {
    fates = [];
    may = { low: new Set() };
    world = createGrantWorld({ fate: () => fates.shift() ?? 'kept' });
    app = await grantApp(world, may);
  });
  afterEach(() => app.close());

  const post = (url: string, payload: object | string | Buffer, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url,
      payload,
      headers: { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json', ...headers },
    });
  const ask = (scene: string, more: object = {}) => ({
    campaignId: 'gala',
    sceneId: scene,
    rainId: 1,
    app: 'demo',
    user: 'zoe',
    ...more,
  });
  const grant = async (scene: string, more: object = {}) =>
    (await post('/v1/grants', ask(scene, more))).json();
  const batch = async (...grants: unknown[]) =>
    (await post('/v1/grants/batch', { grants })).json().outcomes as Record<string, unknown>[];

  it.each(AWARD_TYPES)('grants a %s, told like every other', async (award) => {
    const given = await grant(award);
    expect(given).toEqual({
      outcome: 'granted',
      orderNumber: expect.stringMatching(new RegExp(`_${award}_1_${award}_live$`)),
      sceneId: award,
      awardType: award,
      amountFen: award === 'cash' ? expect.any(Number) : 0,
      worthFen: award === 'cash' ? given.amountFen : AWARD_TYPES.indexOf(award),
      drawnAtMs: world.clock.now(),
      replayed: false,
      consolation: false,
      low: false,
    });
    expect(await grant(award)).toEqual({ ...given, outcome: 'replayed', replayed: true });
  });

  it('takes an amount for a scene whose amounts callers name, and for no piece', async () => {
    expect(await grant('given', { amountFen: 500 })).toMatchObject({ amountFen: 500, worthFen: 500 });
    expect(await grant('given', { rainId: 2 })).toMatchObject({ code: 'amount-invalid' });
    for (const amountFen of [1, 0, -1])
      expect(await grant('shop-coupon', { amountFen })).toMatchObject({
        status: 422,
        code: 'amount-invalid',
      });
    expect(await grant('cash', { amountFen: 5 })).toMatchObject({ code: 'amount-invalid' });
    expect(world.log).toHaveLength(1);
  });

  it('says when little is left, and when it was the consolation', async () => {
    may.low.add('first');
    expect(await grant('first')).toMatchObject({ low: true, consolation: false });
    world.stock.set('first', 0);
    expect(await grant('first', { rainId: 2 })).toMatchObject({
      sceneId: 'comfort',
      awardType: 'greeting',
      worthFen: 0,
      consolation: true,
      low: true,
    });
    expect(await grant('comfort', { rainId: 2 })).toMatchObject({ replayed: true, consolation: false });
  });

  it('answers each ask of a batch by itself, in order, whatever the others are', async () => {
    world.stock.set('culture-coupon', 0);
    fates = ['kept', 'lost before'];
    const outcomes = await batch(
      ask('drinks-coupon'),
      ask('cinema-ticket', { user: 'max' }),
      ask('culture-coupon', { user: 'una' }),
      ask('nothing'),
      ask('cash', { app: 'other' }),
      ask('cash', { user: 7 }),
      'rubbish',
      null,
      ask('cash', { campaignId: 'other' }),
      ask('cash', { rainId: 0 }),
      ask('cash', { more: 1 }),
      ask('drinks-coupon'),
      ask('cash', { user: 'ida' }),
    );
    expect(outcomes.map(({ outcome, code }) => code ?? outcome)).toEqual([
      'granted',
      'outcome-unknown',
      'budget-exhausted',
      'scene-unknown',
      'malformed',
      'malformed',
      'malformed',
      'malformed',
      'campaign-unknown',
      'rain-unknown',
      'malformed',
      'replayed',
      'granted',
    ]);
    expect(outcomes[1]).toMatchObject({ outcome: 'unknown', retryAfterMs: 1 });
    expect(outcomes[2]).toMatchObject({ outcome: 'refused', retryable: false });
    expect(await batch(ask('cinema-ticket', { user: 'max' }))).toMatchObject([{ outcome: 'granted' }]);
  });

  it('never takes something unforeseen for a "no"', async () => {
    may.actIdOf = async (user) => {
      if (user === 'broken') throw new TypeError('x is not a function');
      return 5n as ActId;
    };
    const outcomes = await batch(ask('cash', { user: 'broken' }), ask('cash', { user: 'fine' }));
    expect(outcomes).toMatchObject([{ outcome: 'unknown', code: 'internal' }, { outcome: 'granted' }]);
    expect(JSON.stringify(outcomes)).not.toContain('function');
    expect(await grant('cash', { user: 'broken' })).toMatchObject({ status: 500, retryable: true });
  });

  it('takes 500 at once and no more, and at least one', async () => {
    const asks = Array.from({ length: 500 }, (_, at) => ask('cash', { user: `u${at}` }));
    const outcomes = await batch(...asks);
    expect(outcomes.filter(({ outcome }) => outcome === 'granted')).toHaveLength(500);
    expect((await post('/v1/grants/batch', { grants: [...asks, ask('cash')] })).json()).toMatchObject({
      status: 413,
      code: 'too-large',
    });
    for (const body of [{ grants: [] }, {}, [], 'null'])
      expect((await post('/v1/grants/batch', body)).json()).toMatchObject({ code: 'malformed' });
  });

  it('is for those who may, scene by scene', async () => {
    for (const url of ['/v1/grants', '/v1/grants/batch'])
      expect((await post(url, ask('cash'), { authorization: 'Bearer hbu_other' })).json()).toMatchObject({
        status: 401,
        code: 'credential-invalid',
      });
    const scenes = new Map([
      ...world.campaign.scenes,
      ['foreign', { ...world.campaign.scenes.get('cash' as never)!, id: 'foreign' }],
    ]);
    Object.assign(world.campaign, { scenes });
    expect(await batch(ask('foreign'), ask('cash'))).toMatchObject([
      { outcome: 'refused', code: 'forbidden' },
      { outcome: 'granted' },
    ]);
  });

  describe.each(['application/x-protobuf', 'application/protobuf'])('in %s', (type) => {
    const asked = (scene: string, more: object = {}) => create(GrantAskSchema, ask(scene, more));
    const single = async (scene: string, more: object = {}) => {
      const response = await post('/v1/grants', Buffer.from(toBinary(GrantAskSchema, asked(scene, more))), {
        'content-type': type,
      });
      return { response, outcome: fromBinary(GrantOutcomeSchema, response.rawPayload).outcome };
    };

    it('answers in the same', async () => {
      const { response, outcome } = await single('given', { amountFen: 700n });
      expect([response.statusCode, response.headers['content-type']]).toEqual([200, type]);
      expect(outcome).toMatchObject({
        case: 'granted',
        value: { amountFen: 700n, worthFen: 700n, awardType: 'cash', replayed: false, sceneId: 'given' },
      });
      expect(await grant('given', { amountFen: 700 })).toMatchObject({ replayed: true, amountFen: 700 });
    });

    it('tells refused from unknown, with the status that JSON has', async () => {
      const none = await single('nothing');
      expect(none.response.statusCode).toBe(404);
      expect(none.outcome).toMatchObject({ case: 'refused', value: { code: 'scene-unknown' } });
      fates = ['lost before'];
      const unknown = await single('cash');
      expect(unknown.response.statusCode).toBe(503);
      expect(unknown.outcome).toMatchObject({ case: 'unknown', value: { retryAfterMs: 1 } });
      expect((await single('given', { amountFen: 2n ** 62n })).outcome).toMatchObject({
        value: { code: 'amount-invalid' },
      });
    });

    it('takes batches', async () => {
      const body = create(GrantBatchSchema, {
        grants: [asked('greeting'), asked('nothing'), asked('greeting')],
      });
      const response = await post('/v1/grants/batch', Buffer.from(toBinary(GrantBatchSchema, body)), {
        'content-type': type,
      });
      const { outcomes } = fromBinary(GrantBatchOutcomeSchema, response.rawPayload);
      expect(outcomes.map(({ outcome }) => outcome.case)).toEqual(['granted', 'refused', 'granted']);
      expect(outcomes[2]!.outcome.value).toMatchObject({ replayed: true, awardType: 'greeting' });
    });

    it('refuses bytes that are no such message', async () => {
      for (const url of ['/v1/grants', '/v1/grants/batch'])
        expect((await post(url, Buffer.from([0xff, 0x01]), { 'content-type': type })).statusCode).toBe(400);
    });
  });

  it.each(['text/plain', 'application/xml', 'application/octet-stream', ''])(
    'does not take "%s"',
    async (type) => {
      for (const url of ['/v1/grants', '/v1/grants/batch']) {
        const response = await post(url, JSON.stringify(ask('cash')), { 'content-type': type });
        expect(response.json()).toMatchObject({ status: 415, code: 'unsupported-media-type' });
      }
      expect(world.log).toEqual([]);
    },
  );
});
