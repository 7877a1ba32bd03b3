import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
export async function buildWeb(out) {
  mkdirSync(out, { recursive: true });
  writeFileSync(path.join(out, 'index.html'), '<!doctype html><title>x</title>');
}
