import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { findNats } from './nats-program.ts';
import { findProgram, isExecutable } from './programs.ts';

export const SERVICES = ['redis', 'nats', 'postgres'] as const;
export type Service = (typeof SERVICES)[number];

/** What a person installs, by service: Debian's package, and words for every other machine. */
export const PACKAGES: Readonly<Record<Service, { readonly debian: string; readonly elsewhere: string }>> = {
  redis: { debian: 'redis-server', elsewhere: 'Redis 7.0 or newer (redis-server on the PATH)' },
  nats: {
    debian: 'nats-server',
    elsewhere: 'nats-server 2.10 or newer on the PATH (2.9 works, and keeps less)',
  },
  postgres: { debian: 'postgresql', elsewhere: 'PostgreSQL 15 or newer (initdb and postgres on the PATH)' },
};

const POSTGRES_ROOT = '/usr/lib/postgresql';

/** The newest system Postgres: Debian keeps it off the PATH. */
export function findPostgres(): { readonly initdb: string; readonly postgres: string } | undefined {
  const versions = existsSync(POSTGRES_ROOT) ? readdirSync(POSTGRES_ROOT) : [];
  const debian = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(POSTGRES_ROOT, version, 'bin'))
    .find((bin) => isExecutable(path.join(bin, 'initdb')));
  if (debian) return { initdb: path.join(debian, 'initdb'), postgres: path.join(debian, 'postgres') };
  const initdb = findProgram('initdb');
  const postgres = findProgram('postgres');
  return initdb && postgres ? { initdb, postgres } : undefined;
}

/** Whether a service's server is installed. */
export function isInstalled(service: Service): boolean {
  if (service === 'postgres') return findPostgres() !== undefined;
  return findServer(service) !== undefined;
}

const findServer = (service: 'redis' | 'nats'): string | undefined =>
  service === 'nats' ? findNats() : findProgram('redis-server');

/** Why tests that need these servers can't run here, in words a person can act on; undefined when they can. */
export function whyMissing(...services: readonly Service[]): string | undefined {
  const missing = services.filter((service) => !isInstalled(service));
  if (missing.length === 0) return undefined;
  return missing.map((service) => `${service} is not installed: ${howToInstall(service)}`).join('; ');
}

/** What to type, or to look for. */
export function howToInstall(service: Service): string {
  const { debian, elsewhere } = PACKAGES[service];
  return findProgram('apt-get') ? `apt-get install ${debian}` : `install ${elsewhere}`;
}

/** The path of a server's program. Throws with what to install when it is missing. */
export function requireProgram(service: 'redis' | 'nats'): string {
  const program = findServer(service);
  if (!program) throw new Error(whyMissing(service));
  return program;
}
