import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { besideFolder, findNats, isFitNats, isWantedNats } from './nats-program.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'hongbao-programs-'));
  vi.stubEnv('XDG_CACHE_HOME', path.join(root, 'cache'));
  vi.stubEnv('PATH', `${path.join(root, 'bin')}:${process.env.PATH}`);
  vi.stubEnv('NATS_SERVER', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

/** A program in a folder that says which version it is. */
function aServer(folder: string, says: string): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'nats-server');
  writeFileSync(file, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
  return file;
}
const onPath = (says: string) => aServer(path.join(root, 'bin'), says);
const beside = (version: string, says = `nats-server: v${version}`) =>
  aServer(path.join(besideFolder(), version), says);

describe('the nats-server to start', () => {
  it('is the newest of the system’s and those set beside it', () => {
    const system = onPath('nats-server: v2.9.10');
    expect(findNats()).toBe(system);
    beside('2.9.25');
    const newest = beside('2.10.27');
    expect(findNats()).toBe(newest);
    expect([isFitNats(system), isFitNats(newest)]).toEqual([false, true]);
    expect([isWantedNats(newest), isWantedNats(beside('2.15.1'))]).toEqual([false, true]);
  });

  it('is the system’s where that is the newer one', () => {
    beside('2.10.27');
    const system = onPath('nats-server: v2.15.1');
    expect(findNats()).toBe(system);
  });

  it('is never one that does not run here', () => {
    const system = onPath('nats-server: v2.9.10');
    beside('2.11.0', 'GLIBC_2.99 not found');
    expect(findNats()).toBe(system);
  });

  it('is the one that NATS_SERVER names, whatever else there is', () => {
    beside('2.10.27');
    const system = onPath('nats-server: v2.9.10');
    vi.stubEnv('NATS_SERVER', system);
    expect(findNats()).toBe(system);
  });
});
