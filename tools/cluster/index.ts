import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type NatsCluster, startNatsCluster } from '../services/nats.ts';
import { type PostgresServer, startPostgres } from '../services/postgres.ts';
import { type RedisCluster, startRedisCluster } from '../services/redis.ts';
import { freshFolder } from '../services/server.ts';
import {
  choosePlaces,
  type OwnedRoleProcess,
  type Role,
  type RolePlace,
  type RoleProcess,
  startRole,
} from './roles.ts';
import { type App, makeApp } from './sessions.ts';

export type { Role, RoleProcess } from './roles.ts';

export interface Servers {
  readonly redis: RedisCluster;
  readonly nats: NatsCluster;
  readonly shards: readonly PostgresServer[];
  readonly control: PostgresServer;
  stop(): Promise<void>;
}

/** The whole engine on one machine: real servers, and several processes of each role. */
export interface Cluster {
  readonly servers: Servers;
  readonly processes: readonly RoleProcess[];
  of(role: Role): readonly RoleProcess[];
  /** What every process was given, without its own ports and folder. */
  readonly env: Readonly<Record<string, string>>;
  readonly app: App;
  readonly keysFolder: string;
  /** Puts a campaign in force, through control, and waits until every gateway deals it. */
  applyCampaign(file: string): Promise<void>;
  /** The engine's command line, as on control's machine. Rejects with what it printed when it fails. */
  command(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly buckets?: number;
  /** The app of the campaign whose players come; its name is the issuer of their sessions. */
  readonly appName?: string;
  readonly servers?: Servers;
  /** Further environment of every process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of one process, by its name (gateway-1, …). */
  readonly envOf?: (name: string) => Readonly<Record<string, string>>;
}

const SHARDS = 2;

/** 6 Redis, 3 NATS, 2 shards and control's Postgres. */
export async function startServers(
  /** Further environment of a Postgres, by its name (shard-1, …, control-database). */
  envOf: (name: string) => Readonly<Record<string, string>> = () => ({}),
): Promise<Servers> {
  const names = [...Array.from({ length: SHARDS }, (_, at) => `shard-${at + 1}`), 'control-database'];
  const starting = [
    startRedisCluster(),
    startNatsCluster(),
    Promise.all(names.map((name) => startPostgres({ name, env: envOf(name) }))),
  ] as const;
  const settled = await Promise.allSettled(starting);
  const [redis, nats, postgres] = settled;
  const stop = async () => {
    await Promise.all([
      redis.status === 'fulfilled' ? redis.value.stop() : undefined,
      nats.status === 'fulfilled' ? nats.value.stop() : undefined,
      ...(postgres.status === 'fulfilled' ? postgres.value.map((server) => server.discard()) : []),
    ]);
  };
  if (redis.status === 'rejected' || nats.status === 'rejected' || postgres.status === 'rejected') {
    await stop();
    throw settled.find((one) => one.status === 'rejected')?.reason;
  }
  return {
    redis: redis.value,
    nats: nats.value,
    shards: postgres.value.slice(0, SHARDS),
    control: postgres.value[SHARDS]!,
    stop,
  };
}

/** Starts everything that was not handed in; all of it, or none. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const servers = options.servers ?? (await startServers());
  const processes: OwnedRoleProcess[] = [];
  const stop = async () => {
    await stopInOrder(processes);
    if (!options.servers) await servers.stop();
  };
  try {
    const folder = freshFolder('cluster');
    const keysFolder = path.join(folder, 'keys');
    mkdirSync(keysFolder, { mode: 0o700 });
    const app = makeApp(path.join(folder, 'session-keys.json'), options.appName ?? 'demo');
    const places = await choosePlaces();
    // In a checkout the first start after a change builds the bundle; not six of them side by side.
    await hongbao({}, '--version');
    const env = environmentOf(servers, places, keysFolder, app, options);
    const started = await Promise.allSettled(
      places.map((place) => startRole(place, { ...env, ...options.envOf?.(place.name) })),
    );
    processes.push(...started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    return { servers, processes, env, app, keysFolder, stop, ...actsOn(processes) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** 12-factor: addresses and nothing else. Every process gets the same; what a role does not need it does not read. */
function environmentOf(
  servers: Servers,
  places: readonly RolePlace[],
  keysFolder: string,
  app: App,
  options: ClusterOptions,
): Record<string, string> {
  const urlOf = (role: Role) => `http://127.0.0.1:${places.find((place) => place.role === role)!.port}`;
  return {
    HONGBAO_LOG: servers.nats.urls.join(','),
    HONGBAO_LOG_MONITORING: servers.nats.nodes.map(({ monitoringUrl }) => monitoringUrl).join(','),
    HONGBAO_BOOK: servers.redis.urls.join(','),
    HONGBAO_LEDGER: servers.shards.map(({ url }) => url).join(' '),
    HONGBAO_CONTROL: servers.control.url,
    HONGBAO_CONTROL_URL: urlOf('control'),
    HONGBAO_WALLET_URL: urlOf('wallet'),
    HONGBAO_KEYS: keysFolder,
    HONGBAO_BUCKETS: String(options.buckets ?? 16),
    HONGBAO_SESSION_KEYS_FILE: app.keysFile,
    // One wallet, one sandbox of each.
    HONGBAO_PAYOUT: 'embedded:',
    HONGBAO_CONNECTORS: 'embedded:',
    HONGBAO_LOG_LEVEL: 'info',
    ...options.env,
  };
}

/** The command line; its standard output. */
async function hongbao(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.resolve('bin/hongbao.mjs'), ...args], {
    env: { ...process.env, ...env },
  });
  return stdout;
}

function actsOn(processes: readonly RoleProcess[]): Pick<Cluster, 'of' | 'applyCampaign' | 'command'> {
  const of = (role: Role) => processes.filter((one) => one.role === role);
  const command: Cluster['command'] = async (...args) => {
    const [control] = of('control');
    return hongbao(control!.env, ...args);
  };
  return {
    of,
    command,
    async applyCampaign(file) {
      await command('campaign', 'apply', path.resolve(file));
      await Promise.all(processes.map((one) => one.untilReady()));
    },
  };
}

/** Whoever takes work in goes first, so that what is under way still finds somebody to finish it. */
async function stopInOrder(processes: readonly OwnedRoleProcess[]): Promise<void> {
  for (const role of ['gateway', 'wallet', 'creditor', 'control'] as const) {
    const leaving = processes.filter((one) => one.role === role);
    await Promise.all(leaving.map((one) => one.stop()));
    await Promise.all(leaving.map((one) => one.discard()));
  }
}
