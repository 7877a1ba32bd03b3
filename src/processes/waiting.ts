import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { PROBLEM_CONTENT_TYPE, problem } from '../protocol/problem.ts';
import type { Config } from './config.ts';

/** Answers in the place of a process that waits for its servers. */
export interface Waiting {
  /** Leaves both ports to who comes now. */
  close(): Promise<void>;
}

const ALIVE = new Set(['/livez', '/healthz', '/startupz']);
const NOT_YET = 'this process waits for its servers; its log says for which';

/**
 * On both ports: alive, and not ready. A role may wait for its servers for as long as they are away, and whoever probes
 * it must not take that for dead and start it again. Rejects when a port is taken.
 */
export async function answerWhileWaiting(
  config: Pick<Config, 'port' | 'host' | 'opsPort' | 'opsHost'>,
): Promise<Waiting> {
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(
      servers.splice(0).map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  };
  const places = [
    { port: config.port, host: config.host },
    { port: config.opsPort, host: config.opsHost },
  ];
  try {
    for (const place of places) {
      const server = createServer((request, response) => answer(request.url ?? '', response));
      server.listen(place);
      await once(server, 'listening');
      servers.push(server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

function answer(url: string, response: ServerResponse): void {
  const path = url.split('?', 1)[0]!;
  // Whoever keeps the connection would lose it when the process is there.
  response.setHeader('connection', 'close');
  if (ALIVE.has(path)) return send(response, 200, 'application/json', { alive: true });
  response.setHeader('retry-after', '1');
  if (path === '/readyz') return send(response, 503, 'application/json', { ready: false, reason: NOT_YET });
  const body = problem('control-unavailable', NOT_YET);
  send(response, body.status, PROBLEM_CONTENT_TYPE, body);
}

function send(response: ServerResponse, status: number, type: string, body: object): void {
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body));
}
