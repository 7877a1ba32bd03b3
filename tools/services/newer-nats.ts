import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { besideFolder, findNats, isWantedNats, natsVersion } from './nats-program.ts';
import { findProgram } from './programs.ts';

/** By Debian release: the next one that has a nats-server as it is wanted, built for a C library that the first one has. */
const NEWER: Readonly<Record<string, string>> = { bookworm: 'forky', trixie: 'forky' };
const PATIENCE_MS = 120_000;

/** What Debian signs its releases with, of package debian-archive-keyring; without it apt's own trusted keys count. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Which release of Debian has a nats-server that is fit, when this machine's own has none; else undefined. */
export function releaseWithNewerNats(): string | undefined {
  const program = findNats();
  if (program && isWantedNats(program)) return undefined;
  return findProgram('apt-get') && NEWER[codename()];
}

/**
 * Sets the nats-server of another Debian release beside the system's, in a folder of the user's own. apt fetches it
 * and checks its signature, with lists and sources of its own: what the machine installs from stays as it was.
 * Returns what went wrong, if it did.
 */
export function fetchNewerNats(release: string): string | undefined {
  const work = mkdtempSync(path.join(tmpdir(), 'hongbao-apt-'));
  try {
    unpackBeside(work, download(work, release, ownMirror()));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The package, in the folder `work`. */
function download(work: string, release: string, mirror: string): string {
  const sources = path.join(work, 'sources.list');
  const packages = path.join(work, 'packages');
  for (const folder of [path.join(work, 'lists', 'partial'), packages])
    mkdirSync(folder, { recursive: true });
  writeFileSync(
    sources,
    `deb ${existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : ''}${mirror} ${release} main\n`,
  );
  const options = aptOptions(work, sources);
  run('apt-get', [...options, '-q', 'update'], packages);
  run('apt-get', [...options, '-q', 'download', `nats-server/${release}`], packages);
  return path.join(packages, readdirSync(packages).find((name) => name.endsWith('.deb'))!);
}

const aptOptions = (work: string, sources: string): string[] =>
  Object.entries({
    'Dir::Etc::SourceList': sources,
    'Dir::Etc::SourceParts': '-',
    'Dir::Etc::Preferences': '-',
    'Dir::Etc::PreferencesParts': '-',
    'Dir::State::Lists': path.join(work, 'lists'),
    'Dir::Cache': work,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '0',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
    // apt's own user may not write into our folder; the signature is checked all the same.
    'APT::Sandbox::User': 'root',
    // A list that can't be had is an error, not a warning.
    'APT::Update::Error-Mode': 'any',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);

/** Unpacked beside under its version, whole or not at all. Throws when it does not run here. */
function unpackBeside(work: string, file: string): void {
  const unpacked = path.join(work, 'unpacked');
  run('dpkg-deb', ['-x', file, unpacked]);
  const program = path.join(unpacked, 'usr', 'sbin', 'nats-server');
  const version = natsVersion(program);
  if (!version || !isWantedNats(program)) throw new Error(`${path.basename(file)} is not fit here`);
  mkdirSync(besideFolder(), { recursive: true });
  const fresh = mkdtempSync(path.join(besideFolder(), '.new-'));
  cpSync(program, path.join(fresh, 'nats-server'));
  chmodSync(fresh, 0o755);
  try {
    renameSync(fresh, path.join(besideFolder(), version.join('.')));
  } catch {
    // Another one has set the same beside in the meantime.
    rmSync(fresh, { recursive: true });
  }
}

/** The Debian mirror that this machine installs from already. Throws when apt does not say. */
function ownMirror(): string {
  const format = '$(RELEASE) $(CODENAME) $(REPO_URI)';
  const said = run('apt-get', ['indextargets', '--format', format, 'Identifier: Packages']);
  const targets = said.split('\n').map((line) => line.split(' '));
  const own = targets.find(([release, name]) => [release, name].includes(codename()));
  if (!own?.[2]) throw new Error(`apt has no source for Debian ${codename()}`);
  return own[2];
}

/** Debian's name for the release of this machine; empty elsewhere. */
function codename(): string {
  try {
    const fields = readFileSync('/etc/os-release', 'utf8');
    return /^ID=debian$/m.test(fields) ? (/^VERSION_CODENAME=(\w+)$/m.exec(fields)?.[1] ?? '') : '';
  } catch {
    return '';
  }
}

/** What it printed. Throws with the end of what it said when it fails. */
function run(command: string, args: readonly string[], cwd = '.'): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    cwd,
  });
  if (status === 0) return stdout;
  const said = `${stdout}${stderr}`.trim();
  const errors = said.split('\n').filter((line) => line.startsWith('E: '));
  const why = error?.message ?? (errors.length > 0 ? errors.join('; ') : said.slice(-500));
  throw new Error(`${command} ${args.at(-1)}: ${why}`);
}
