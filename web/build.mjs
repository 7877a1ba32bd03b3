// Builds the H5 page: one script, one style sheet, no inline code (the gateway's CSP forbids it).
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
export const SCRIPT_BYTES_MAX = 60 * 1024;

/** Writes the page into `out`; throws when the script is larger than 60 KB compressed. */
export async function buildWeb(out) {
  mkdirSync(out, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: { app: path.join(here, 'main.tsx') },
    outdir: out,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2020',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.css': 'css' },
    logLevel: 'warning',
  });
  const { writeFileSync } = await import('node:fs');
  for (const file of outputFiles) {
    const bytes = gzipSync(file.contents).length;
    if (file.path.endsWith('.js') && bytes > SCRIPT_BYTES_MAX) {
      throw new Error(`the page's script is ${bytes} bytes compressed; at most ${SCRIPT_BYTES_MAX}`);
    }
    writeFileSync(file.path, file.contents);
  }
  for (const name of ['index.html', 'icon.svg', 'app.webmanifest'])
    copyFileSync(path.join(here, name), path.join(out, name));
}
