#!/usr/bin/env node
import { existsSync, statSync } from 'node:fs';

// In a checkout the bundle is made on first use and whenever a source is newer; a published package brings it.
const bundle = new URL('../dist/hongbao.js', import.meta.url);
const stamp = new URL('../dist/.built', import.meta.url);
if (existsSync(new URL('../src/', import.meta.url))) {
  const { buildAll, sourcesChangedAtMs } = await import('../tools/build.mjs');
  if (!existsSync(stamp) || !existsSync(bundle) || statSync(stamp).mtimeMs < sourcesChangedAtMs())
    await buildAll();
}
const { main } = await import(bundle.href);
await main(process.argv.slice(2));
