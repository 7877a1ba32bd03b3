import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { ErrorKind } from '../../src/protocol/error-kinds.ts';
import { problem } from '../../src/protocol/problem.ts';
import { type Ran, runCommandLine } from './command-line.ts';

interface Asked {
  readonly route: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** For each test an HTTP server that answers as the test wants, a data folder, and the command line over both. */
export function pretendedEngine() {
  /** What it answers a `METHOD /path`, one after the other, the last again and again: a body, or a problem's kind. */
  const answers: Record<string, (object | ErrorKind)[]> = {};
  const asked: Asked[] = [];
  let folder: string;
  let server: Server;
  const port = (): number => (server.address() as { port: number }).port;

  function answer(route: string): { status: number; body: object } {
    const due = answers[route] ?? ['not-found'];
    const next = due.length > 1 ? due.shift()! : due[0]!;
    if (typeof next !== 'string') return { status: 200, body: next };
    const body = problem(next, 'as the test wants');
    return { status: body.status, body };
  }

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'hongbao-cli-'));
    asked.length = 0;
    for (const route of Object.keys(answers)) delete answers[route];
    answers['POST /demo/v1/sessions'] = [{ session: 'a.b.c', user: 'alice', expiresAtMs: 1 }];
    server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const route = `${request.method} ${request.url}`;
        const sent = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
        asked.push({ route, headers: request.headers, body: sent });
        const { status, body } = answer(route);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (...args: string[]): Promise<Ran> => runCommandLine(args, { HONGBAO_DATA: folder });
  return {
    answers,
    asked,
    folder: () => folder,
    run,
    /** A player's command, who is told the engine's address. */
    play: (...args: string[]): Promise<Ran> => run(...args, '--url', `http://127.0.0.1:${port()}`),
    /** Leaves what a running engine leaves in its data folder. */
    leaveRunFile(): void {
      mkdirSync(path.join(folder, 'run'), { recursive: true });
      const left = {
        pid: process.pid,
        port: port(),
        opsPort: port(),
        operatorKey: 'hbo_key',
        ledgerUrl: 'postgres://db/x',
        payoutUrl: '',
        demo: true,
        campaign: 'gala',
      };
      writeFileSync(path.join(folder, 'run', 'engine.json'), JSON.stringify(left));
    },
  };
}
