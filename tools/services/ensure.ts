import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { howToInstall, isInstalled, PACKAGES, SERVICES, type Service } from './binaries.ts';
import { fetchNewerNats, releaseWithNewerNats } from './newer-nats.ts';
import { findProgram } from './programs.ts';

/** The machine, as far as installing touches it; handed in, so that a test can stand in for it. */
export interface Machine {
  isInstalled(service: Service): boolean;
  /** Root, with apt-get: then we install; else we say what to install. */
  readonly mayInstall: boolean;
  /** Installs Debian packages without starting their services. Returns what went wrong, if it did. */
  install(packages: readonly string[]): string | undefined;
  /** The release of Debian that has a fit nats-server when this one has none; undefined when nothing is to be done. */
  releaseWithNewerNats(): string | undefined;
  /** Sets that one beside the system's. Returns what went wrong, if it did. */
  fetchNewerNats(release: string): string | undefined;
  /** The test files that need a service. */
  testsThatNeed(service: Service): readonly string[];
  say(line: string): void;
}

/**
 * Sees to it that every server is there. Returns the services that are still missing, having said for each what to
 * install and which tests are skipped without it.
 */
export function ensure(machine: Machine): readonly Service[] {
  if (machine.mayInstall) ensureNewerNats(machine);
  const missing = () => SERVICES.filter((service) => !machine.isInstalled(service));
  const wanted = missing();
  if (wanted.length > 0 && machine.mayInstall) {
    const packages = wanted.map((service) => PACKAGES[service].debian);
    machine.say(`installing ${packages.join(', ')} (their own services stay off) …`);
    const problem = machine.install(packages);
    if (problem) machine.say(problem);
  }
  const still = missing();
  for (const service of still) {
    const tests = machine.testsThatNeed(service);
    machine.say(`${service} is missing: ${howToInstall(service)}`);
    if (tests.length > 0) machine.say(`  skipped without it: ${tests.join(', ')}`);
  }
  return still;
}

/** Before anything is installed: what is set beside need not be installed. Without it everything works as before. */
function ensureNewerNats(machine: Machine): void {
  const release = machine.releaseWithNewerNats();
  if (!release) return;
  machine.say(`fetching the nats-server of Debian ${release}, to stand beside the system's …`);
  const problem = machine.fetchNewerNats(release);
  if (problem)
    machine.say(
      `${problem}\n  this release's own it is: a cluster of it keeps no message ids and fsyncs later`,
    );
}

/** This machine, for real. */
export function thisMachine(say: (line: string) => void): Machine {
  return {
    isInstalled,
    mayInstall: process.getuid?.() === 0 && findProgram('apt-get') !== undefined,
    install: installQuietly,
    releaseWithNewerNats,
    fetchNewerNats,
    testsThatNeed,
    say,
  };
}

/** Debian starts a service as soon as it is installed, unless this says no (101: forbidden by policy). */
const POLICY = '/usr/sbin/policy-rc.d';

function installQuietly(packages: readonly string[]): string | undefined {
  const isOurs = !existsSync(POLICY);
  if (isOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return (
      aptGet('update', '-qq') ??
      aptGet('install', '-y', '-qq', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...packages)
    );
  } finally {
    if (isOurs) rmSync(POLICY, { force: true });
  }
}

function aptGet(...args: string[]): string | undefined {
  const { status, stdout, stderr } = spawnSync('apt-get', args, {
    encoding: 'utf8',
    timeout: 600_000,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0 ? undefined : `apt-get ${args.join(' ')} failed:\n${(stdout + stderr).slice(-2_000)}`;
}

/** Read from the tests themselves: `describeWithServers(['redis', …]`. */
function testsThatNeed(service: Service): string[] {
  return ['test', 'src', 'tools', 'rehearsal']
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) =>
      [...readFileSync(file, 'utf8').matchAll(/describeWithServers\(\s*\[([^\]]*)\]/g)].some(([, services]) =>
        services!.includes(`'${service}'`),
      ),
    )
    .sort();
}
