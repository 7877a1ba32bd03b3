import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cliSays } from '../support/command-line.ts';
import { sessionOf, startEngineForTest, type TestEngine } from '../support/engine.ts';
import { behave } from '../support/sandbox.ts';

const CAMPAIGN = 'test/e2e/awards-campaign.yaml';
const POLL = { timeout: 30_000, interval: 50 };

interface Line {
  readonly orderNumber: string;
  readonly sceneId: string;
  readonly state: string;
  readonly voucher?: string;
}

/** Pieces from the grant to the wallet and the downstream's own record, in a real engine with its sandbox. */
describe('pieces in a running engine', { timeout: 120_000 }, () => {
  const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-awards-'));
  let engine: TestEngine;
  let secret: string;

  beforeAll(async () => {
    chmodSync(dataFolder, 0o755);
    engine = await startEngineForTest({ campaignFile: CAMPAIGN, dataFolder });
    secret = (await cli('upstream add show --campaign pieces --scenes tea,film,hello')).secret as string;
  });
  afterAll(async () => {
    await engine?.stop();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  const cli = (command: string, exitCode?: number) => cliSays(command, dataFolder, exitCode);
  const behaves = (how: object): Promise<void> => {
    const run = JSON.parse(readFileSync(path.join(dataFolder, 'run', 'engine.json'), 'utf8')) as {
      downstreamUrl: string;
    };
    return behave({ url: run.downstreamUrl }, how);
  };
  const grant = async (sceneId: string, user: string, rainId = 1): Promise<string> => {
    const response = await fetch(`${engine.url}/v1/grants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ campaignId: 'pieces', sceneId, rainId, app: 'demo', user }),
    });
    const body = (await response.json()) as { orderNumber: string };
    expect(response.status, JSON.stringify(body)).toBe(200);
    return body.orderNumber;
  };
  const walletOf = async (user: string): Promise<readonly Line[]> => {
    const response = await fetch(`${engine.url}/v1/campaigns/pieces/wallet`, {
      headers: { authorization: `Bearer ${await sessionOf(engine, user)}` },
    });
    return ((await response.json()) as { awards: Line[] }).awards;
  };
  /** What the downstreams handed out, by order number: from their own record on disk. */
  const handedOut = (): Map<string, string[]> => {
    const vouchers = new Map<string, string[]>();
    const text = readFileSync(path.join(dataFolder, 'award-sandbox', 'pieces.jsonl'), 'utf8');
    for (const line of text.split('\n').filter((one) => one !== '')) {
      const piece = JSON.parse(line) as { orderNumber: string; state: string; voucher: string };
      if (piece.state === 'done')
        vouchers.set(piece.orderNumber, [...(vouchers.get(piece.orderNumber) ?? []), piece.voucher]);
    }
    return vouchers;
  };
  const until = (user: string, state: string) =>
    vi.waitFor(async () => {
      const lines = await walletOf(user);
      expect(lines.map((line) => line.state)).toEqual(lines.map(() => state));
      return lines;
    }, POLL);

  it('brings the downstream’s own code into the wallet, and greetings without any', async () => {
    const tea = await grant('tea', 'ann');
    await grant('hello', 'ann');
    const lines = await until('ann', 'fulfilled');
    const of = (scene: string) => lines.find((line) => line.sceneId === scene);
    expect(handedOut().get(tea)).toEqual([of('tea')!.voucher]);
    expect(of('hello')!.voucher).toBeUndefined();
  });

  it('keeps dead letters for a person, who replays them', async () => {
    await behaves({ mode: 'fail', connector: 'cinema' });
    const films = await Promise.all(['bea', 'cid', 'dan'].map((user) => grant('film', user)));
    await vi.waitFor(async () => expect((await cli('awards dead')).awards).toHaveLength(3), POLL);
    expect(await cli('awards dead --limit 2')).toMatchObject({
      isMore: true,
      awards: [...films]
        .sort()
        .slice(0, 2)
        .map((orderNumber) => ({ orderNumber, state: 'dead', reason: 'told to fail; nothing was done' })),
    });
    expect(await cli('awards stuck')).toEqual({ awards: [], isMore: false });
    const metrics = await (await fetch(`${engine.opsUrl}/metrics`)).text();
    expect(metrics).toContain('hongbao_awards_settled_total{connector="cinema",state="dead"} 3');
    expect(metrics).toMatch(/hongbao_awards_on_their_way [0-9]/);

    await behaves({ mode: 'ok', connector: 'cinema' });
    expect(await cli(`awards replay ${films[0]}`)).toMatchObject({ replayed: true, state: 'asking' });
    await until('bea', 'fulfilled');
    expect(await cli(`awards replay ${films[0]}`)).toMatchObject({ replayed: false, state: 'fulfilled' });
    expect(await cli('awards replay --all')).toMatchObject({ replayed: 2, notDead: 0 });
    for (const [at, user] of ['bea', 'cid', 'dan'].entries()) {
      const [line] = await until(user, 'fulfilled');
      expect(handedOut().get(films[at]!)).toEqual([line!.voucher]);
    }
    expect(await cli('awards dead')).toEqual({ awards: [], isMore: false });
    expect(await cli('awards replay 1_tea_1_drinks-coupon_live', 1)).toMatchObject({ code: 'award-unknown' });
    for (const wrong of ['awards replay', `awards replay ${films[0]} --all`, 'awards dead --limit 0'])
      expect(await cli(wrong, 2)).toMatchObject({ code: 'usage' });
  });

  it('hands each out once through a power cut in the middle of it', async () => {
    await behaves({ mode: 'time-out-then-done', connector: 'drinks-shop' });
    const users = Array.from({ length: 30 }, (_, at) => `user-${at}`);
    await Promise.all(users.map((user) => grant('tea', user)));
    await vi.waitFor(() => expect(handedOut().size).toBeGreaterThan(8), POLL);
    engine.process.kill('SIGKILL');
    await once(engine.process, 'exit');
    engine = await startEngineForTest({ campaignFile: CAMPAIGN, dataFolder });
    for (const user of users) {
      const [line] = await until(user, 'fulfilled');
      expect(handedOut().get(line!.orderNumber)).toEqual([line!.voucher]);
    }
    expect([...handedOut().values()].filter((vouchers) => vouchers.length > 1)).toEqual([]);
  });
});
