import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
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
const LOCATION_FILE = 'cluster.location';
const ELSEWHERE = '/var/lib/hongbao';
const HALF = 'cluster.new-';

/**
 * The folder that holds the cluster: the data folder itself, or a place of its own when the data folder lies where only
 * root may go. That place is named in the data folder and has a name of its own each time: a data folder that was
 * removed and made anew must not find the money of the old one.
 */
export function openHome(dataFolder: string, runAs: RunAs | undefined, logger: Logger): string {
  mkdirSync(dataFolder, { recursive: true });
  const resolved = path.resolve(dataFolder);
  const location = path.join(resolved, LOCATION_FILE);
  if (existsSync(location)) return readFileSync(location, 'utf8').trim();
  if (canTraverse(resolved, runAs)) return resolved;
  mkdirSync(ELSEWHERE, { recursive: true });
  chmodSync(ELSEWHERE, 0o755);
  const home = mkdtempSync(path.join(ELSEWHERE, 'cluster-'));
  chmodSync(home, 0o755);
  writeDurably(location, `${home}\n`);
  logger.warn(
    { dataFolder: resolved, home },
    'only root may enter the data folder, so the Postgres cluster lies elsewhere',
  );
  return home;
}

/** Finds the cluster of a data folder, or makes it. An initdb that was cut off is thrown away and done again. */
export async function openCluster(
  dataFolder: string,
  home: string,
  binaries: PostgresBinaries,
  runAs: RunAs | undefined,
  logger: Logger,
): Promise<Cluster> {
  const folder = path.join(home, 'cluster');
  const passwordFile = path.join(path.resolve(dataFolder), PASSWORD_FILE);
  if (!existsSync(folder)) {
    await initialise(home, folder, passwordFile, binaries, runAs);
    logger.info({ folder }, 'made a new Postgres cluster');
  }
  // A cluster appears by one rename, whole. One that lacks something was damaged, and is nothing to begin anew over.
  for (const needed of [path.join(folder, 'PG_VERSION'), passwordFile]) {
    if (!existsSync(needed))
      throw new Error(
        `The ledger's cluster ${folder} is there, but ${needed} is missing, so the ledger can't be opened. Bring the ` +
          'file back from a copy; or, to begin with an empty ledger, move the whole data folder away.',
      );
  }
  return { folder, password: readFileSync(passwordFile, 'utf8').trim() };
}

async function initialise(
  home: string,
  folder: string,
  passwordFile: string,
  binaries: PostgresBinaries,
  runAs: RunAs | undefined,
): Promise<void> {
  // The initdb of a killed engine may still be writing for a moment.
  const patiently = { recursive: true, force: true, maxRetries: 10, retryDelay: 50 };
  for (const name of readdirSync(home)) if (name.startsWith(HALF)) rmSync(path.join(home, name), patiently);
  const half = path.join(home, `${HALF}${randomBytes(4).toString('hex')}`);
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
  writeDurably(passwordFile, password);
  renameSync(target, folder);
  rmSync(half, patiently);
}

/** What is named by it must not outlive it: the file, readable by its owner only, is on the disk when this returns. */
function writeDurably(file: string, text: string): void {
  const handle = openSync(file, 'w', 0o600);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  chmodSync(file, 0o600);
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
    child.on('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(new Error(`${path.basename(command)} ended with ${code ?? signal}: ${output.trim()}`)),
    );
  });
}
