import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './postgres.ts';

export interface TestEngine {
  readonly url: string;
  readonly opsUrl: string;
  readonly dataFolder: string;
  readonly port: number;
  readonly process: ChildProcess;
  operatorKey(): string;
  /** What it has printed; the end of it. */
  output(): string;
  /** Orderly, by SIGTERM; also removes the data folder unless it was handed in. */
  stop(): Promise<void>;
}

export interface TestEngineOptions {
  readonly campaignFile?: string;
  readonly dataFolder?: string;
  readonly env?: Record<string, string>;
  readonly port?: number;
}

/** The real engine as a child process, on free ports and in a temporary folder; resolves when it is ready. */
export async function startEngineForTest(options: TestEngineOptions = {}): Promise<TestEngine> {
  const dataFolder = options.dataFolder ?? mkdtempSync(path.join(tmpdir(), 'hongbao-engine-'));
  chmodSync(dataFolder, 0o755);
  const port = options.port ?? (await freePort());
  const opsPort = await freePort();
  const child = spawn(
    process.execPath,
    ['bin/hongbao.mjs', 'dev', ...(options.campaignFile ? ['--campaign', options.campaignFile] : [])],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        HONGBAO_PORT: String(port),
        HONGBAO_OPS_PORT: String(opsPort),
        HONGBAO_DATA: dataFolder,
        ...options.env,
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-8_000);
    });
  }
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, child, () => output);
  return {
    url,
    opsUrl: `http://127.0.0.1:${opsPort}`,
    dataFolder,
    port,
    process: child,
    output: () => output,
    operatorKey: () =>
      (
        JSON.parse(readFileSync(path.join(dataFolder, 'run', 'engine.json'), 'utf8')) as {
          operatorKey: string;
        }
      ).operatorKey,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}

async function untilReady(url: string, child: ChildProcess, output: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the engine did not start:\n${output()}`);
    const ready = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await delay(25);
  }
}

/** A demo session of the engine. */
export async function sessionOf(engine: { url: string }, user: string): Promise<string> {
  const response = await fetch(`${engine.url}/demo/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  });
  return ((await response.json()) as { session: string }).session;
}

/** The example without the coupons that its rounds deal among the money: for journeys that are about money. */
export function cashOnly(): string {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'hongbao-page-')), 'gala.yaml');
  writeFileSync(file, readFileSync('examples/gala.yaml', 'utf8').replace(/^ +- \{ scene: tea, .*\n/m, ''));
  return file;
}

/** Grants pieces to a user of the demo app, as a service upstream does. */
export async function grantForTest(
  engine: TestEngine,
  user: string,
  sceneIds: readonly string[],
): Promise<void> {
  const post = async (url: string, bearer: string, body: object) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { secret: string };
  };
  const upstream = { name: 'test', campaignId: 'gala', scenes: sceneIds };
  const { secret } = await post(`${engine.opsUrl}/ops/v1/upstreams`, engine.operatorKey(), upstream);
  const grants = sceneIds.map((sceneId) => ({ campaignId: 'gala', sceneId, rainId: 1, app: 'demo', user }));
  await post(`${engine.url}/v1/grants/batch`, secret, { grants });
}
