import { beforeEach, describe, expect, it } from 'vitest';
import { pretendedEngine } from '../../../test/support/pretended-engine.ts';

const { answers, asked, leaveRunFile, run } = pretendedEngine();

describe('operations', () => {
  beforeEach(leaveRunFile);
  it('use the key that the running engine left', async () => {
    answers['PUT /ops/v1/credit-rate'] = [{ creditsPerSecond: 1000 }];
    expect((await run('credit-rate', '1000', '--json')).json()).toEqual({ creditsPerSecond: 1000 });
    expect(asked[0]).toMatchObject({
      body: { creditsPerSecond: 1000 },
      headers: { authorization: 'Bearer hbo_key' },
    });
    answers['PUT /ops/v1/credit-rate'] = [{ creditsPerSecond: null }];
    expect((await run('credit-rate', 'off')).stdout).toContain('not limited');
    expect(asked[1]!.body).toEqual({ creditsPerSecond: null });
  });
  it('rotate keys, add an upstream, apply a campaign, tell the status', async () => {
    answers['POST /ops/v1/keys/rotate'] = [{ keyId: 2 }];
    answers['POST /ops/v1/upstreams'] = [{ secret: 'hbu_x' }];
    answers['POST /ops/v1/campaigns'] = [{ id: 'gala', version: 3 }];
    answers['GET /ops/v1/status'] = [{ backlog: 0 }];
    expect((await run('keys', 'rotate', '--json')).json()).toEqual({ keyId: 2 });
    expect(
      (
        await run('upstream', 'add', 'fireworks', '--campaign', 'gala', '--scenes', 'show,late', '--json')
      ).json(),
    ).toEqual({ name: 'fireworks', campaign: 'gala', secret: 'hbu_x' });
    expect(asked.at(-1)!.body).toEqual({ name: 'fireworks', campaignId: 'gala', scenes: ['show', 'late'] });
    expect((await run('campaign', 'apply', 'examples/gala.yaml', '--json')).json()).toEqual({
      ok: true,
      id: 'gala',
      version: 3,
    });
    expect((await run('status', '--json')).json()).toEqual({ backlog: 0 });
  });
  it('a campaign with mistakes never reaches the engine', async () => {
    const ran = await run('campaign', 'apply', 'examples/broken.yaml', '--json');
    expect(ran.exitCode).toBe(1);
    expect((ran.json().problems as unknown[]).length).toBeGreaterThan(0);
    expect(asked).toEqual([]);
  });
});
