import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const KILL_CAMPAIGN = fileURLToPath(new URL('./kill-campaign.yaml', import.meta.url));

export interface EngineProcess {
  readonly child: ChildProcess;
  readonly url: string;
  /** Both streams, as far as they have come. */
  readonly output: () => string;
  status(): Promise<EngineStatus>;
  ledgerUrl(): string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface EngineStatus {
  readonly backlogOrders: number;
  readonly unclosedSlices: number;
  readonly journal: { readonly accepting: boolean };
}

/** Built once, before the first start: a start must not wait for a build. */
export const buildEngine = (): void =>
  void execFileSync(process.execPath, ['bin/hongbao.mjs', '--help'], { cwd: root, stdio: 'ignore' });

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export interface EngineSettings {
  readonly dataFolder: string;
  readonly port: number;
  readonly ledgerUrl?: string;
  readonly creditRate?: number;
  /** Runs the engine below another program, e.g. a shell that sets limits. */
  readonly wrap?: readonly string[];
}

const READY_WITHIN_MS = 20_000;

/** Starts the real engine and waits until it is ready; throws with its output when it ends before. */
export async function startEngineProcess(settings: EngineSettings): Promise<EngineProcess> {
  const main = `import(${JSON.stringify(path.join(root, 'dist/hongbao.js'))}).then((m) => m.main(['dev', '--campaign', ${JSON.stringify(KILL_CAMPAIGN)}]))`;
  const [command, ...args] = [...(settings.wrap ?? []), process.execPath, '-e', main];
  const child = spawn(command!, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      HONGBAO_PORT: String(settings.port),
      HONGBAO_OPS_PORT: '0',
      HONGBAO_DATA: settings.dataFolder,
      HONGBAO_LEDGER: settings.ledgerUrl ?? 'embedded:',
      ...(settings.creditRate === undefined ? {} : { HONGBAO_CREDIT_RATE: String(settings.creditRate) }),
    },
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk));
  const gone = once(child, 'exit');
  const url = `http://127.0.0.1:${settings.port}`;
  const run = () => JSON.parse(readFileSync(path.join(settings.dataFolder, 'run', 'engine.json'), 'utf8'));

  const deadline = performance.now() + READY_WITHIN_MS;
  // The banner comes when everything listens and the run file stands.
  while (!output.includes('Hongbao is ready')) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`the engine did not start (exit code ${child.exitCode}):\n${output}`);
    await delay(10);
  }
  return {
    child,
    url,
    output: () => output,
    ledgerUrl: () => run().ledgerUrl,
    async status() {
      const { opsPort, operatorKey } = run();
      const answer = await fetch(`http://127.0.0.1:${opsPort}/ops/v1/status`, {
        headers: { authorization: `Bearer ${operatorKey}` },
      });
      if (!answer.ok) throw new Error(`status: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as EngineStatus;
    },
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      const [code] = await gone;
      return code;
    },
  };
}

/** Until nothing is outstanding, no slice is open and every withdrawal is settled; throws after `withinMs`. */
export async function settled(
  engine: EngineProcess,
  withinMs: number,
  openWithdrawals: () => Promise<number>,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const { backlogOrders } = await engine.status();
    const open = await openWithdrawals();
    if (backlogOrders === 0 && open === 0) return;
    if (performance.now() > deadline)
      throw new Error(`not settled: ${backlogOrders} outstanding, ${open} withdrawals open`);
    await delay(100);
  }
}
