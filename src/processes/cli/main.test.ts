import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommandLine } from '../../../test/support/command-line.ts';
import { pretendedEngine } from '../../../test/support/pretended-engine.ts';

const { asked, folder, leaveRunFile, run } = pretendedEngine();

describe('used wrongly', () => {
  it.each([
    ...[
      '-5',
      '0',
      '1.5',
      '1e3',
      '１００',
      '',
      ' 1',
      '+1',
      '0x10',
      '01',
      '9007199254740993',
      '99999999999999999999',
      'NaN',
      'all',
    ].map((amount) => ['withdraw', '--user', 'a', '--amount', amount]),
    ...['0', '-1', '1e3', '1e9', '100001'].map((times) => ['shake', '--user', 'a', '--times', times]),
    ['shake', '--user', 'a', '--interval', '-1'],
    ['withdraw', '--user', 'a'],
    ['withdraw', '--amount', '5'],
    ['shake'],
    ['shake', '--user', 'a', '--session', 'x\ny'],
    ['withdraw', '--user', 'a', '--amount', '5', '--idempotency-key', '钥匙'],
    ['withdraw', '--user', 'a', '--amount', '5', '--idempotency-key', 'k'.repeat(256)],
    ['nonsense'],
    ['shake', '--user', 'a', '--nonsense'],
    ['credit-rate', '1.5'],
    ['credit-rate', '-5'],
    ['credit-rate', '1e3'],
    ['credit-rate', '99999999'],
    ['serve', '--role', 'creditor'],
    ['serve', '--role', 'doorman'],
    ['switch', 'ledger', 'off'],
    ['switch', 'book'],
    ['cue', '0', '--phase', 'live', '--at', 'now'],
    ['cue', '3', '--phase', 'live', '--at', 'soon'],
    ['ledger', 'shards'],
    ['ledger', 'add-shard', 's3', 'mysql://db/x'],
    ['ledger', 'add-shard', 's_3', 'postgres://db/x'],
    ['serve'],
    ['campaign', 'check', '/nowhere.yaml'],
    ['audit'],
    ['completion', 'fish'],
  ])('%s %s %s %s %s: exit 2, and nothing is asked of the engine', async (...args) => {
    leaveRunFile();
    const ran = await run(...args, '--json');
    expect(ran.exitCode).toBe(2);
    expect(asked).toEqual([]);
    if (!args.includes('nonsense') && args[0] !== 'serve' && args[0] !== 'completion')
      expect(ran.json()).toHaveProperty('error');
  });

  it('an audit that can’t look says so, and is neither clean nor a finding', async () => {
    mkdirSync(path.join(folder(), 'journal'), { recursive: true });
    const noLedger = await run('audit', '--json');
    expect(noLedger.exitCode).toBe(2);
    expect(noLedger.json().error).toContain('--ledger');
    const noHistory = await run(
      'audit',
      '--ledger',
      'postgres://x@127.0.0.1:1/x',
      '--history',
      '/nowhere',
      '--json',
    );
    expect(noHistory.exitCode).toBe(2);
    const unreachable = await run('audit', '--ledger', 'postgres://x:secret@127.0.0.1:1/x', '--json');
    expect(unreachable.exitCode).toBe(3);
    expect(unreachable.json()).toMatchObject({ code: 'ledger-unavailable' });
    expect(unreachable.stdout).not.toContain('secret');
    rmSync(path.join(folder(), 'journal'), { recursive: true });
  });

  it('says what would be right', async () => {
    const ran = await run('withdraw', '--user', 'a', '--amount', '1e3');
    expect(ran.stderr).toContain('plain digits');
  });

  it('an address that is none is no silent engine', async () => {
    expect((await run('wallet', '--user', 'a', '--url', 'localhost')).exitCode).toBe(2);
    expect((await run('wallet', '--user', 'a', '--url', 'ftp://localhost')).exitCode).toBe(2);
  });

  it('an environment that is wrong is told in full', async () => {
    const ran = await runCommandLine(['wallet', '--user', 'a', '--json'], {
      HONGBAO_PORT: 'x',
      HONGBAO_LEDGER: 'y',
    });
    expect(ran.exitCode).toBe(2);
    expect((ran.json().problems as { variable: string }[]).map(({ variable }) => variable)).toEqual([
      'HONGBAO_PORT',
      'HONGBAO_LEDGER',
    ]);
  });

  it('help and version work whatever the environment is', async () => {
    expect(await runCommandLine(['--help'], { HONGBAO_PORT: 'x' })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('withdraw') as string,
    });
    expect(await runCommandLine(['--version'], { HONGBAO_PORT: 'x' })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
  });
});

describe('without an engine', () => {
  it.each([
    ['wallet', '--user', 'a'],
    ['status'],
    ['keys', 'rotate'],
    ['credit-rate'],
    ['upstream', 'add', 'x', '--scenes', 'a'],
    ['campaign', 'apply', 'examples/gala.yaml'],
  ])('%s ends with 3', async (...args) => {
    const closed = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as { port: number };
        probe.close(() => resolve(port));
      });
    });
    const ran = await runCommandLine([...args, '--json'], {
      HONGBAO_DATA: folder(),
      HONGBAO_PORT: String(closed),
    });
    expect(ran.exitCode).toBe(3);
    expect(ran.json()).toMatchObject({ code: 'unreachable' });
  });
});

describe('what needs no engine', () => {
  it('campaign check: 0 for a good file, 1 for one with mistakes', async () => {
    expect((await run('campaign', 'check', 'examples/broken.yaml')).exitCode).toBe(1);
    expect((await run('campaign', 'check', 'examples/gala.yaml', '--json')).json()).toMatchObject({
      ok: true,
      problems: [],
    });
  });
  it('doctor: each line with its state, 1 when a start would fail', async () => {
    const fine = await run('doctor', '--json');
    const checks = fine.json().checks as { name: string; state: string; detail: string }[];
    expect(checks.map(({ name }) => name)).toEqual([
      'node',
      'postgres',
      'data folder',
      'disk',
      'clock',
      'connectors',
      'session keys',
      'port',
      'operations',
    ]);
    const file = path.join(folder(), 'file');
    writeFileSync(file, '');
    const broken = await runCommandLine(['doctor', '--json'], { HONGBAO_DATA: path.join(file, 'below') });
    expect(broken.exitCode).toBe(1);
    expect((broken.json().checks as typeof checks).find(({ name }) => name === 'data folder')).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('HONGBAO_DATA') as string,
    });
  });
  it('doctor: every mistake of the connectors file, with its line', async () => {
    const check = async (env: Record<string, string>) => {
      const file = 'examples/connectors.yaml';
      const ran = await runCommandLine(['doctor', '--json'], {
        HONGBAO_DATA: folder(),
        HONGBAO_CONNECTORS: file,
        ...env,
      });
      const checks = ran.json().checks as { name: string; state: string; detail: string }[];
      return checks.find(({ name }) => name === 'connectors')!;
    };
    expect(await check({ DRINKS_TOKEN: 'a', CINEMA_SECRET: 'b' })).toMatchObject({
      state: 'ok',
      detail: expect.stringMatching(/^drinks-shop, cinema \(version [0-9a-f]{12}\)$/),
    });
    const missing = await check({ DRINKS_TOKEN: 'a', CINEMA_SECRET: '' });
    expect(missing.state).toBe('fail');
    expect(missing.detail).toMatch(/connectors\.yaml:[0-9]+:[0-9]+ .*CINEMA_SECRET is not set/);
    expect(await check({ HONGBAO_CONNECTORS: '/nowhere/at/all.yaml' })).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('ENOENT') as string,
    });
  });
  it('config print: no secret in it', async () => {
    const ran = await runCommandLine(['config', 'print', '--redact', '--json'], {
      HONGBAO_LEDGER: 'postgres://app:pa55word@db/gala',
    });
    expect(ran.stdout).not.toContain('pa55word');
    expect(ran.json()).toMatchObject({ port: 8080, host: '127.0.0.1' });
  });
  it('completion: every command, in both shells', async () => {
    for (const shell of ['bash', 'zsh']) {
      const { stdout } = await run('completion', shell);
      for (const word of ['withdraw', '--idempotency-key', "'campaign'", 'rotate', '--scenes'])
        expect(stdout).toContain(word);
    }
  });
});
