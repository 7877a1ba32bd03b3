import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { PostgresBinaries } from './binaries.ts';
import { canTraverse, type RunAs } from './run-as.ts';

export interface Cluster {
  /** Where the cluster's files are; below the data folder unless Postgres' user can't get there. */
  readonly folder: string;
  readonly password: string;
}

const PASSWORD_FILE = 'superuser.password';

/** Finds the cluster of a data folder, or makes it. An initdb that was cut off is thrown away and done again. */
export async function openCluster(
  dataFolder: string,
  binaries: PostgresBinaries,
  runAs: RunAs | undefined,
  logger: Logger,
): Promise<Cluster> {
  mkdirSync(dataFolder, { recursive: true });
  const home = homeOf(path.resolve(dataFolder), runAs, logger);
  const folder = path.join(home, 'cluster');
  const passwordFile = path.join(path.resolve(dataFolder), PASSWORD_FILE);
  if (!existsSync(path.join(folder, 'PG_VERSION'))) {
    await initialise(home, folder, passwordFile, binaries, runAs);
    logger.info({ folder }, 'made a new Postgres cluster');
  }
  return { folder, password: readFileSync(passwordFile, 'utf8').trim() };
}

/** The data folder itself, or a place of its own below /var/lib when the folder lies where only root may go. */
function homeOf(dataFolder: string, runAs: RunAs | undefined, logger: Logger): string {
  if (canTraverse(dataFolder, runAs)) return dataFolder;
  const home = path.join(
    '/var/lib/hongbao',
    createHash('sha256').update(dataFolder).digest('hex').slice(0, 16),
  );
  mkdirSync(home, { recursive: true, mode: 0o755 });
  writeFileSync(path.join(dataFolder, 'cluster.location'), `${home}\n`);
  logger.warn(
    { dataFolder, home },
    'only root may enter the data folder, so the Postgres cluster lies elsewhere',
  );
  return home;
}

async function initialise(
  home: string,
  folder: string,
  passwordFile: string,
  binaries: PostgresBinaries,
  runAs: RunAs | undefined,
): Promise<void> {
  for (const name of readdirSync(home)) {
    if (name.startsWith('cluster.new-')) rmSync(path.join(home, name), { recursive: true, force: true });
  }
  rmSync(folder, { recursive: true, force: true });
  const half = path.join(home, `cluster.new-${randomBytes(4).toString('hex')}`);
  mkdirSync(half, { mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  const handed = path.join(half, 'password');
  writeFileSync(handed, password, { mode: 0o600 });
  for (const made of [half, handed]) if (runAs) chownSync(made, runAs.uid, runAs.gid);
  const target = path.join(half, 'data');
  await run(
    binaries.initdb,
    [
      '-D',
      target,
      '-U',
      'hongbao',
      '-E',
      'UTF8',
      '--locale=C',
      '-k',
      '-A',
      'scram-sha-256',
      `--pwfile=${handed}`,
      '--no-instructions',
    ],
    runAs,
  );
  writeFileSync(passwordFile, password, { mode: 0o600 });
  chmodSync(passwordFile, 0o600);
  renameSync(target, folder);
  rmSync(half, { recursive: true, force: true });
}

function run(command: string, args: string[], runAs: RunAs | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...runAs, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const note = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${path.basename(command)} ended with ${code}: ${output.trim()}`)),
    );
  });
}
