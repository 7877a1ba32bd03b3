import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SCRIPT_BYTES_MAX = 60_000;
const builder = fileURLToPath(new URL('./build.mjs', import.meta.url));

describe('the built page', () => {
  let out: string;
  beforeAll(() => {
    out = mkdtempSync(path.join(tmpdir(), 'hongbao-page-'));
    // In a process of its own: the bundler refuses to run inside the test runner's realm.
    const code = `const { buildWeb } = await import(${JSON.stringify(builder)}); await buildWeb(${JSON.stringify(out)});`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code]);
    expect(stderr.toString()).toBe('');
    expect(status).toBe(0);
  });
  afterAll(() => rmSync(out, { recursive: true, force: true }));

  it('has less than 60 KB of script, compressed', () => {
    const scripts = readdirSync(out).filter((name) => name.endsWith('.js'));
    const bytes = scripts.map((name) => gzipSync(readFileSync(path.join(out, name))).length);
    expect(scripts).toEqual(['app.js']);
    expect(bytes[0]).toBeGreaterThan(10_000);
    expect(bytes[0]).toBeLessThan(SCRIPT_BYTES_MAX);
  });

  it('has nothing inline that the gateway’s content security policy forbids, and loads only what is there', () => {
    const html = readFileSync(path.join(out, 'index.html'), 'utf8');
    expect(html).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=/);
    const loaded = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1]);
    expect(readdirSync(out)).toEqual(expect.arrayContaining(loaded));
  });
});
