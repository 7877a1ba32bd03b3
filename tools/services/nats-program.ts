import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { findProgram, isExecutable } from './programs.ts';

/** Major, minor and patch. */
export type NatsVersion = readonly [number, number, number];

/** From this one on replicas stay alike though messages carry ids, and an acknowledgement can be an fsync. */
const NATS_FIT: NatsVersion = [2, 10, 0];
/**
 * The oldest one that was seen to find its streams again after all disks were full; 2.10.27 takes them for orphans, and
 * deletes them (docs/decisions/0007).
 */
const NATS_WANTED: NatsVersion = [2, 15, 0];

/** Where `ensure` sets a newer nats-server beside the system's: one folder a version, the program in it. */
export const besideFolder = (): string =>
  path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'hongbao', 'nats-server');

/**
 * The nats-server to start: the one that NATS_SERVER names, or the newest of the system's and those set beside it.
 * Undefined when there is none.
 */
export function findNats(): string | undefined {
  if (process.env.NATS_SERVER) return process.env.NATS_SERVER;
  const candidates = [findProgram('nats-server'), ...beside()].flatMap((program) => {
    const version = program && natsVersion(program);
    return version ? [{ program, version }] : [];
  });
  return candidates.sort((a, b) => compareVersions(b.version, a.version))[0]?.program;
}

function beside(): string[] {
  const folder = besideFolder();
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const versions = names.filter((name) => /^\d/.test(name));
  return versions.map((version) => path.join(folder, version, 'nats-server')).filter(isExecutable);
}

const versions = new Map<string, NatsVersion | undefined>();

/** What the program says it is, asked once; undefined when it does not run here. */
export function natsVersion(program: string): NatsVersion | undefined {
  if (!versions.has(program)) versions.set(program, askVersion(program));
  return versions.get(program);
}

function askVersion(program: string): NatsVersion | undefined {
  const said = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const [, major, minor, patch] = /v(\d+)\.(\d+)\.(\d+)/.exec(said) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor), Number(patch)];
}

/** Negative when `a` is the older one. */
const compareVersions = (a: NatsVersion, b: NatsVersion): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/** Whether this server can be told to fsync before it acknowledges, and keeps replicas alike under message ids. */
export const isFitNats = (program: string): boolean => isFrom(NATS_FIT, program);

/** Whether nothing newer need be looked for. */
export const isWantedNats = (program: string): boolean => isFrom(NATS_WANTED, program);

function isFrom(oldest: NatsVersion, program: string): boolean {
  const version = natsVersion(program);
  return version !== undefined && compareVersions(version, oldest) >= 0;
}
