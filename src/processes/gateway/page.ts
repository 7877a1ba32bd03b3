import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/** Serves the built H5 page from memory: a closed list of files, so no path can lead out of it. */
export function servePage(app: FastifyInstance): void {
  const folder = fileURLToPath(new URL('./web/', import.meta.url));
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const type = TYPES[path.extname(name)];
    if (!type) continue;
    const content = readFileSync(path.join(folder, name));
    app.get(name === 'index.html' ? '/' : `/${name}`, { schema: { hide: true } }, async (_, reply) =>
      reply
        .type(type)
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .header('cache-control', 'no-cache')
        .send(content),
    );
  }
}
