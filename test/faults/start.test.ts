import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { freePort } from '../support/postgres.ts';

/** Runs an engine to its end; for those that can't start. */
async function refusedStart(dataFolder: string, port: number): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, ['bin/hongbao.mjs', 'dev'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HONGBAO_DATA: dataFolder, HONGBAO_PORT: String(port) },
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

/** Every process that works below this folder. */
const below = (folder: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^[0-9]+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  });

describe('an engine that can’t start', { timeout: 60_000 }, () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngineForTest();
  });
  afterAll(() => engine?.stop());

  it('leaves the folder of a living engine alone, and says who has it', async () => {
    const postmaster = () =>
      readFileSync(path.join(engine.dataFolder, 'postgres/cluster/postmaster.pid'), 'utf8').split('\n')[0];
    const before = postmaster();
    const { code, output } = await refusedStart(engine.dataFolder, await freePort());
    expect(code).toBe(1);
    expect(output).toContain(
      `Another engine (process ${engine.process.pid}) uses the data folder ${engine.dataFolder}`,
    );
    expect(postmaster()).toBe(before);
    expect((await fetch(`${engine.url}/readyz`)).status).toBe(200);
    expect(() => execFileSync('kill', ['-0', before!])).not.toThrow();
  });

  it('leaves no Postgres running', async () => {
    const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-busy-'));
    execFileSync('chmod', ['755', dataFolder]);
    const port = await freePort();
    const busy = createServer().listen(port, '127.0.0.1');
    await once(busy, 'listening');
    const { code, output } = await refusedStart(dataFolder, port);
    expect(code).toBe(1);
    expect(output).toContain(`Port ${port} is in use`);
    expect(below(dataFolder)).toEqual([]);
    busy.close();
    rmSync(dataFolder, { recursive: true });
  });
});
