import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Logger } from 'pino';

/** What to answer: `silence` never does, `cut` ends the connection instead. */
export type SandboxAnswer = { readonly status: number; readonly body: unknown } | 'silence' | 'cut';

export const answer = (status: number, body: unknown): SandboxAnswer => ({ status, body });

const JSON_TYPE = { 'content-type': 'application/json' };
const BODY_BYTES_MAX = 16 << 10;

/** A real HTTP server on loopback that stands for somebody else's service. 0 is any free port. */
export async function startSandboxServer(options: {
  readonly port: number;
  readonly answerTo: (request: IncomingMessage) => Promise<SandboxAnswer>;
  readonly logger: Logger;
}): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    options.answerTo(request).then(
      (said) => {
        if (said === 'cut') response.destroy();
        else if (said !== 'silence')
          response.writeHead(said.status, JSON_TYPE).end(JSON.stringify(said.body));
      },
      (error: Error) => {
        options.logger.warn({ error: error.message }, 'a sandbox could not answer');
        response.destroy();
      },
    );
  });
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export const isWhole = (value: unknown, least: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= least;

/** Only what is declared as JSON: a web page in the same browser can't send that across origins unasked. */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    return isObject ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
