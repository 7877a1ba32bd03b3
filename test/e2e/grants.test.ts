import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createGrantClient, type GrantAsk, type GrantResult } from '../../sdk/grants.ts';
import { AWARD_TYPES } from '../../src/vocabulary/award-type.ts';
import { runCommandLine } from '../support/command-line.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';

const run = promisify(execFile);
const AWARDS = 'test/e2e/awards.yaml';
const DRAWN_AT_MS = 1_790_000_000_000;

describe('grants of a running engine', { timeout: 120_000 }, () => {
  const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-grants-'));
  let engine: TestEngine;
  const start = async (campaignFile?: string) => {
    engine = await startEngineForTest({ dataFolder, ...(campaignFile ? { campaignFile } : {}) });
  };
  beforeAll(() => start('examples/gala.yaml'));
  afterAll(async () => {
    await engine?.stop();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  const ops = async (route: string, body: string, type = 'application/json') => {
    const response = await fetch(`${engine.opsUrl}/ops/v1/${route}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${engine.operatorKey()}`, 'content-type': type },
      body,
    });
    expect(response.status, route).toBe(200);
    return (await response.json()) as Record<string, string>;
  };
  const secretFor = async (campaignId: string, scenes: readonly string[]) =>
    (await ops('upstreams', JSON.stringify({ name: `of-${campaignId}`, campaignId, scenes }))).secret!;

  it('are given as docs/grants.md types them in', async () => {
    const lines = readFileSync('docs/grants.md', 'utf8').split('\n');
    const hongbao = async (line: string) => {
      const args = line.slice('npx hongbao '.length).split(' ');
      const ran = await runCommandLine(args, { HONGBAO_DATA: dataFolder });
      expect(ran.exitCode, ran.stderr).toBe(0);
      return ran.stdout;
    };
    let SECRET = '';
    let wallet = '';
    const answers: { outcome?: string; outcomes?: Record<string, unknown>[] }[] = [];
    for (const line of lines) {
      if (line.startsWith('npx hongbao upstream')) SECRET = /hbu_\S+/.exec(await hongbao(line))![0];
      if (line.startsWith('npx hongbao wallet'))
        wallet = await vi.waitFor(async () => {
          const shown = await hongbao(line);
          expect(shown).toMatch(/fulfilled/);
          return shown;
        }, 30_000);
      if (!line.startsWith('curl ')) continue;
      const command = line.replace('localhost:8080', `127.0.0.1:${engine.port}`);
      const { stdout } = await run('sh', ['-c', command], { env: { ...process.env, SECRET } });
      answers.push(JSON.parse(stdout));
    }
    expect(answers).toMatchObject([
      { outcome: 'granted', amountFen: 500, worthFen: 500, awardType: 'cash', low: false },
      { outcome: 'granted', amountFen: 0, awardType: 'drinks-coupon' },
      { outcome: 'replayed', amountFen: 500 },
      {
        outcomes: [
          { outcome: 'granted', amountFen: 88 },
          { outcome: 'refused', code: 'scene-unknown' },
        ],
      },
      { scenes: [{ sceneId: 'fireworks', low: false }] },
    ]);
    // Money and the coupon with its code, as people see them.
    expect(wallet).toContain('¥5.88');
    expect(wallet).toMatch(/fulfilled {2}\S.*[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}/);
    const shown = JSON.parse(
      lines
        .slice(lines.indexOf('```json') + 1)
        .join('\n')
        .split('```')[0]!,
    );
    const batch = answers.find(({ outcomes }) => outcomes)!;
    expect(shown.outcomes.map((one: object) => Object.keys(one).sort())).toEqual(
      batch.outcomes!.map((one) => Object.keys(one).sort()),
    );
  });

  it('are described in both encodings, with every outcome', async () => {
    const { paths } = (await (await fetch(`${engine.url}/openapi.json`)).json()) as {
      paths: Record<
        string,
        { post: Record<string, { content: object }> & { responses: Record<string, { content: object }> } }
      >;
    };
    for (const route of ['/v1/grants', '/v1/grants/batch']) {
      const { requestBody, responses } = paths[route]!.post;
      const types = ['application/json', 'application/x-protobuf', 'application/protobuf'];
      expect(Object.keys(requestBody!.content)).toEqual(types);
      expect(Object.keys(responses['200']!.content)).toEqual(types);
    }
    const text = JSON.stringify(paths['/v1/grants/batch']);
    for (const word of [
      'granted',
      'replayed',
      'refused',
      'unknown',
      'retryAfterMs',
      'consolation',
      'worthFen',
      'low',
    ])
      expect(text).toContain(`"${word}"`);
  });

  it('are given and asked about as sdk/README.md does', async () => {
    const secret = await secretFor('gala', ['fireworks']);
    const page = readFileSync('sdk/README.md', 'utf8');
    const code = page
      .split('```ts\n')[1]!
      .split('```')[0]!
      .replace("from 'hongbao/grants'", "from '../../sdk/grants.ts'")
      .replace("from 'hongbao'", "from '../../sdk/index.ts'");
    mkdirSync('dist/run', { recursive: true });
    const file = `dist/run/sdk-readme-${process.pid}.ts`;
    writeFileSync(file, code);
    const { ledgerUrl } = JSON.parse(readFileSync(path.join(dataFolder, 'run', 'engine.json'), 'utf8'));
    const { stdout } = await run('node', ['tools/run.mjs', file], {
      env: {
        ...process.env,
        GATEWAY: engine.url,
        SECRET: secret,
        HONGBAO_CONTROL: ledgerUrl,
        HONGBAO_BOOK: '',
        HONGBAO_KEYS: path.join(dataFolder, 'keys'),
      },
    });
    rmSync(file);
    expect(stdout.split('\n')).toEqual([
      'granted 500',
      expect.stringMatching(/^balance \d+ fen, complete: false$/),
      expect.stringMatching(/^fireworks: \d+ left, low: false$/),
      '',
    ]);
  });

  it('are of every type, console when nothing is left, and are the same after a restart, with new stock too', async () => {
    const source = readFileSync(AWARDS, 'utf8');
    await ops('campaigns', source, 'application/yaml');
    const secret = await secretFor('awards', [...AWARD_TYPES, 'rare', 'comfort']);
    const ask = (sceneId: string, user: string): GrantAsk => ({
      campaignId: 'awards',
      sceneId,
      rainId: 1,
      app: 'demo',
      user,
      drawnAtMs: DRAWN_AT_MS,
      ...(sceneId === 'cash' ? { amountFen: 700 } : {}),
    });
    const asks = [
      ...AWARD_TYPES.map((type) => ask(type, 'zoe')),
      ...Array.from({ length: 6 }, (_, at) => ask('rare', `fan-${at}`)),
    ];
    const client = (encoding: 'protobuf' | 'json') =>
      createGrantClient({ url: engine.url, secret, encoding, timeoutMs: 60_000 });
    const first = await client('protobuf').grantAll(asks);
    expect(first.slice(0, AWARD_TYPES.length)).toMatchObject(
      AWARD_TYPES.map((awardType) => ({
        outcome: 'granted',
        awardType,
        amountFen: awardType === 'cash' ? 700 : 0,
      })),
    );
    const fans = first.slice(AWARD_TYPES.length) as Extract<GrantResult, { consolation: boolean }>[];
    expect(fans.map(({ outcome, sceneId }) => `${outcome} ${sceneId}`).sort()).toEqual([
      ...Array(4).fill('granted comfort'),
      ...Array(2).fill('granted rare'),
    ]);
    expect(fans.every(({ consolation, sceneId }) => consolation === (sceneId === 'comfort'))).toBe(true);

    const replayed = first.map((one) => ({ ...one, outcome: 'replayed', low: expect.any(Boolean) }));
    expect(await client('json').grantAll(asks)).toEqual(replayed);
    await engine.stop();
    await start();
    expect(await client('json').grantAll(asks)).toEqual(replayed);
    await ops(
      'campaigns',
      source.replace('budget: { packets: 2 }', 'budget: { packets: 9 }'),
      'application/yaml',
    );
    expect(await client('protobuf').grant(ask('rare', 'late'))).toMatchObject({
      outcome: 'granted',
      sceneId: 'rare',
      worthFen: 9_900,
    });
    expect(await client('protobuf').grantAll(asks)).toEqual(replayed);
  });
});
