import path from 'node:path';
import { build, type Plugin } from 'esbuild';

/** Makes one file of a script of this folder and everything it imports, packages too: it runs wherever it lies. */
export async function bundleScript(
  entry: string,
  outfile: string,
  plugins: readonly Plugin[] = [],
): Promise<void> {
  await build({
    entryPoints: [path.join(import.meta.dirname, entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    loader: { '.sql': 'text', '.lua': 'text' },
    // Drivers that pg looks for and does without.
    external: ['pg-native', 'pg-cloudflare'],
    banner: {
      js: "import { createRequire as bundleRequireOf } from 'node:module'; const require = bundleRequireOf(import.meta.url);",
    },
    plugins: [...plugins],
    logLevel: 'error',
  });
}
