import { assertPostgresUrl } from '../engines/postgres/pool.ts';

export const ROLES = ['gateway', 'creditor', 'wallet', 'control'] as const;
/** A part of the engine that a process runs. */
export type Role = (typeof ROLES)[number];
export const ROLE_NAMES = [...ROLES, 'all'] as const;

/** Where a cluster's engines are; a process without it keeps everything itself. */
export interface ClusterConfig {
  /** host:port of the NATS servers. */
  readonly logServers: readonly string[];
  /** host:port of some Redis Cluster nodes. */
  readonly bookNodes: readonly string[];
  /** How many buckets the cluster was made with; it never changes. */
  readonly buckets: number;
  /** Control's HTTP address, the third way of announcements; undefined: two ways. */
  readonly controlUrl: string | undefined;
}

type Wrong = (variable: string, message: string) => undefined;

export const BUCKETS_DEFAULT = 16;
const BUCKETS_MAX = 1_024;
const SEPARATORS = /[\s,]+/;
const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([1-9][0-9]{0,4})$/;

export const CLUSTER_VARIABLES = {
  HONGBAO_ROLE: `Part to run: ${ROLE_NAMES.join(', ')}, or several with commas. Default all; serve --role goes before it`,
  HONGBAO_LOG:
    'nats://host:port of the JetStream servers, with commas; embedded: (default) keeps a journal here',
  HONGBAO_BOOK:
    'redis://host:port of Redis Cluster nodes, with commas; embedded: (default) keeps it in memory',
  HONGBAO_CONTROL:
    'postgres:// URL of control and budgets. Default the ledger’s first shard. Also HONGBAO_CONTROL_FILE',
  HONGBAO_CONTROL_URL:
    'http(s):// address of a control process, one of three ways by which announcements come',
  HONGBAO_WALLET_URL: 'http(s):// address to which a gateway without wallet part sends the wallet’s requests',
  HONGBAO_BUCKETS: `Buckets of the cluster, fixed when it is made. Default ${BUCKETS_DEFAULT}`,
} as const;

/** "all", one role, or several with commas. */
export function readRoles(text: string, wrong: Wrong): readonly Role[] {
  const names = text.split(SEPARATORS).filter((name) => name !== '');
  if (names.length === 0 || names.includes('all')) return ROLES;
  const unknown = names.find((name) => !ROLES.includes(name as Role));
  if (unknown !== undefined) {
    wrong('HONGBAO_ROLE', `"${unknown}" is no role. Write ${ROLE_NAMES.join(', ')}, or several with commas.`);
    return ROLES;
  }
  return ROLES.filter((role) => names.includes(role));
}

/** Several databases are several shards, in this order for ever: the first of them also gets what has no account. */
export function readDatabases(variable: string, text: string | undefined, wrong: Wrong): readonly string[] {
  if (!text || text === 'embedded:') return [];
  const urls = text.split(/[\s,]+(?=[a-z]+:\/\/)/).map((one) => one.trim());
  try {
    for (const url of urls) assertPostgresUrl(url);
  } catch (error) {
    wrong(variable, `${(error as Error).message} Or leave it out to run the embedded one.`);
    return [];
  }
  if (new Set(urls).size !== urls.length)
    wrong(variable, 'it names one database twice. Each shard is a database of its own.');
  return urls;
}

export function readCluster(
  env: NodeJS.ProcessEnv,
  roles: readonly Role[],
  hasLedger: boolean,
  wrong: Wrong,
): ClusterConfig | undefined {
  const logServers = addresses('HONGBAO_LOG', env.HONGBAO_LOG, 'nats', wrong);
  const bookNodes = addresses('HONGBAO_BOOK', env.HONGBAO_BOOK, 'redis', wrong);
  const buckets = bucketCount(env.HONGBAO_BUCKETS, wrong);
  const controlUrl = httpUrl(env, 'HONGBAO_CONTROL_URL', wrong);
  if (logServers.length === 0 && bookNodes.length === 0) {
    if (roles.length < ROLES.length)
      wrong(
        'HONGBAO_ROLE',
        'one part alone shares its log and book with others. Set HONGBAO_LOG and HONGBAO_BOOK, or run all.',
      );
    return undefined;
  }
  if (logServers.length === 0 || bookNodes.length === 0)
    wrong(
      logServers.length === 0 ? 'HONGBAO_LOG' : 'HONGBAO_BOOK',
      'log and book go together: a shared one beside one of this process alone would contradict it. Set both, or neither.',
    );
  if (!hasLedger && roles.length < ROLES.length)
    wrong('HONGBAO_LEDGER', 'the parts of a cluster share a ledger. Set postgres:// URLs, one a shard.');
  return { logServers, bookNodes, buckets, controlUrl };
}

function addresses(
  variable: string,
  text: string | undefined,
  scheme: 'nats' | 'redis',
  wrong: Wrong,
): readonly string[] {
  if (!text || text === 'embedded:') return [];
  const found: string[] = [];
  for (const one of text.split(SEPARATORS).filter((part) => part !== '')) {
    const address = one.startsWith(`${scheme}://`) ? one.slice(scheme.length + 3).replace(/\/$/, '') : '';
    const port = Number(ADDRESS.exec(address)?.[2] ?? 0);
    if (port < 1 || port > 65_535)
      return wrong(variable, `write ${scheme}://host:port, several with commas, or leave it out.`) ?? [];
    found.push(address);
  }
  return found;
}

function bucketCount(text: string | undefined, wrong: Wrong): number {
  if (!text) return BUCKETS_DEFAULT;
  const count = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= BUCKETS_MAX) return count;
  wrong(
    'HONGBAO_BUCKETS',
    `"${text}" is no number from 1 to ${BUCKETS_MAX}. Write plain digits, e.g. ${BUCKETS_DEFAULT}.`,
  );
  return BUCKETS_DEFAULT;
}

export function httpUrl(env: NodeJS.ProcessEnv, variable: string, wrong: Wrong): string | undefined {
  const text = env[variable];
  if (!text) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/$/, '');
  return wrong(variable, 'it is no http(s):// URL. Write e.g. http://10.0.0.5:8080');
}
