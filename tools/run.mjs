// Runs a TypeScript file of this repository: bundles it beside the others in dist/ and imports it.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const [entry] = process.argv.slice(2);
if (!entry) throw new Error('usage: node tools/run.mjs FILE.ts [arguments]');
const outfile = path.resolve('dist', 'run', `${path.basename(entry, '.ts')}.mjs`);
mkdirSync(path.dirname(outfile), { recursive: true });
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  loader: { '.sql': 'text', '.lua': 'text' },
  logLevel: 'warning',
});
process.argv.splice(1, 2, outfile);
await import(pathToFileURL(outfile).href);
