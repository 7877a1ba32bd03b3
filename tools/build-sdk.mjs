// Builds dist/sdk: what a service imports by the package's name (`hongbao`, `hongbao/grants`), with its types. Run before
// the package is packed (`npm pack`, `npm publish`); a checkout does without, so that its starts stay quick.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

/** The doors of the package: a name each in package.json's exports. */
const ENTRIES = { index: 'sdk/index.ts', grants: 'sdk/grants.ts' };

/** Writes into `outdir`, which is made anew. `settings` are those of the engine's own bundle. Throws when types are wrong. */
export async function buildSdk(root, outdir, settings) {
  rmSync(outdir, { recursive: true, force: true });
  await build({
    ...settings,
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).map(([name, file]) => [name, path.join(root, file)]),
    ),
    outdir,
    // What both doors use is there once, so that a RetryableFault of one is a RetryableFault of the other.
    splitting: true,
    sourcemap: false,
  });
  writeTypes(root, path.join(outdir, 'types'));
}

function writeTypes(root, outdir) {
  const made = mkdtempSync(path.join(root, 'dist', 'types-'));
  try {
    const project = path.join(made, 'tsconfig.json');
    const options = {
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: root,
      outDir: made,
    };
    const files = [...Object.values(ENTRIES), 'src/text-modules.d.ts'].map((file) => path.join(root, file));
    const extended = path.join(root, 'tsconfig.json');
    writeFileSync(
      project,
      JSON.stringify({ extends: extended, compilerOptions: options, include: [], files }),
    );
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
    const { status, stdout, error } = spawnSync(tsc, ['-p', project], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`The SDK's types could not be made: ${error?.message ?? stdout}`);
    const written = new Set();
    for (const file of Object.values(ENTRIES))
      keepTypes(made, outdir, file.replace(/\.ts$/, '.d.ts'), written);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** Copies a declaration and all that it names, not the rest; names of files become those that consumers resolve. */
function keepTypes(from, to, file, written) {
  if (written.has(file)) return;
  written.add(file);
  const text = readFileSync(path.join(from, file), 'utf8');
  const renamed = text.replace(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, (_, quote, name) => {
    const named = path.join(path.dirname(file), `${name}.d.ts`);
    if (!existsSync(path.join(from, named))) throw new Error(`${file} names ${name}.ts, which has no types`);
    keepTypes(from, to, named, written);
    return `${quote}${name}.js${quote}`;
  });
  mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
  writeFileSync(path.join(to, file), renamed);
}
