// Builds dist/: the engine and its command line (one bundle, npm packages stay outside), and the H5 page.
// Run by `npm run build`, and by bin/hongbao.mjs when dist/ is missing or older than the sources.
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const stamp = path.join(root, 'dist', '.built');

/** The newest modification time, in ms, of any file below the folders that the build reads. */
export function sourcesChangedAtMs() {
  const newest = (folder) =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .reduce(
        (latest, entry) => Math.max(latest, statSync(path.join(entry.parentPath, entry.name)).mtimeMs),
        0,
      );
  const folders = ['src', 'client', 'web', 'rehearsal', 'tools'].map((folder) => path.join(root, folder));
  return Math.max(...folders.filter((folder) => existsSync(folder)).map(newest));
}

export async function buildAll() {
  mkdirSync(path.join(root, 'dist', 'web'), { recursive: true });
  await build({
    entryPoints: { hongbao: path.join(root, 'src/processes/cli/main.ts') },
    outdir: path.join(root, 'dist'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    loader: { '.sql': 'text', '.lua': 'text' },
    sourcemap: true,
    logLevel: 'warning',
  });
  const { buildWeb } = await import('../web/build.mjs');
  await buildWeb(path.join(root, 'dist', 'web'));
  writeFileSync(stamp, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildAll();
