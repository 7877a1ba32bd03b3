import { parseNatsUrl } from '../engines/jetstream/connection.ts';
import { NAME_PART } from '../engines/jetstream/names.ts';
import { assertPostgresUrl } from '../engines/postgres/pool.ts';
import { parseRedisUrl } from '../engines/redis/url.ts';

export const ROLES = ['gateway', 'creditor', 'wallet', 'control'] as const;
/** A part of the engine that a process runs. */
export type Role = (typeof ROLES)[number];
export const ROLE_NAMES = [...ROLES, 'all'] as const;

/** Where a cluster's engines are; a process without it keeps everything itself. */
export interface ClusterConfig {
  /** The cluster's name on its servers: another name shares nothing with it (I7). */
  readonly space: string;
  /** nats://[user:password@]host:port[,host:port…] */
  readonly logUrl: string;
  /** http://host:port of the same servers' monitoring; may be none. */
  readonly logMonitoringUrls: readonly string[];
  /** Copies of each stream. */
  readonly logReplicas: number;
  /** What a stream may grow to; a full one refuses. */
  readonly logBucketBytes: number;
  /** redis://[user:password@]host:port[,host:port…] */
  readonly bookUrl: string;
  /** Where the totals are, the primary first: the book's servers unless others are named. */
  readonly totalsUrls: readonly string[];
  /** How many buckets the cluster was made with; it never changes. */
  readonly buckets: number;
  /** Control's HTTP address, the third way of announcements; undefined: two ways. */
  readonly controlUrl: string | undefined;
}

type Wrong = (variable: string, message: string) => undefined;

const BUCKETS_DEFAULT = 16;
const BUCKETS_MAX = 1_024;
const LOG_REPLICAS_DEFAULT = 3;
const LOG_BUCKET_MB_DEFAULT = 1_024;
const SEPARATORS = /[\s,]+/;

export const CLUSTER_VARIABLES = {
  HONGBAO_ROLE: `Part to run: ${ROLE_NAMES.join(', ')}, or several with commas. Default all; serve --role goes before it`,
  HONGBAO_LOG:
    'nats://host:port of the JetStream servers, with commas; embedded: (default) keeps a journal here. Also HONGBAO_LOG_FILE',
  HONGBAO_LOG_MONITORING:
    'http(s)://host:port of their monitoring, with commas: asked at the start whether they fsync before they acknowledge',
  HONGBAO_BOOK:
    'redis://host:port of Redis Cluster nodes, with commas; embedded: (default) keeps it in memory. Also HONGBAO_BOOK_FILE',
  HONGBAO_TOTALS:
    'redis://host:port of the Redis Cluster nodes that keep the totals. Default the book’s. Also HONGBAO_TOTALS_FILE',
  HONGBAO_TOTALS_BACKUP:
    'redis://host:port of other nodes that are told the totals too, and asked while the first are away. Also HONGBAO_TOTALS_BACKUP_FILE',
  HONGBAO_CONTROL:
    'postgres:// URL of control and budgets. Default the ledger’s first shard. Also HONGBAO_CONTROL_FILE',
  HONGBAO_CONTROL_URL:
    'http(s):// address of a control process, one of three ways by which announcements come',
  HONGBAO_WALLET_URL: 'http(s):// address to which a gateway without wallet part sends the wallet’s requests',
  HONGBAO_CLUSTER: 'Name of the cluster on its servers; another name shares nothing with it. Default hongbao',
  HONGBAO_LOG_REPLICAS: `Copies that JetStream keeps of the log. Default ${LOG_REPLICAS_DEFAULT}`,
  HONGBAO_LOG_BUCKET_MB: `What a bucket’s log may grow to, in MiB; a full one refuses. Default ${LOG_BUCKET_MB_DEFAULT}`,
  HONGBAO_BUCKETS: `Buckets of the cluster, fixed when it is made. Default ${BUCKETS_DEFAULT}`,
} as const;

/** What may have a password in it: NAME_FILE names a file that holds it. */
export const CLUSTER_SECRETS = [
  'HONGBAO_LOG',
  'HONGBAO_BOOK',
  'HONGBAO_TOTALS',
  'HONGBAO_TOTALS_BACKUP',
] as const;

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
  /** From the variable, or from the file that holds it. */
  secretOf: (variable: (typeof CLUSTER_SECRETS)[number]) => string | undefined,
  roles: readonly Role[],
  hasLedger: boolean,
  wrong: Wrong,
): ClusterConfig | undefined {
  const servers = (variable: (typeof CLUSTER_SECRETS)[number], parse: (url: string) => unknown) =>
    serverUrl(variable, secretOf(variable), parse, wrong);
  const logUrl = servers('HONGBAO_LOG', parseNatsUrl);
  const bookUrl = servers('HONGBAO_BOOK', parseRedisUrl);
  const count = (variable: string, fallback: number, max: number): number =>
    countOf(variable, env[variable], fallback, max, wrong);
  const buckets = count('HONGBAO_BUCKETS', BUCKETS_DEFAULT, BUCKETS_MAX);
  const logReplicas = count('HONGBAO_LOG_REPLICAS', LOG_REPLICAS_DEFAULT, 5);
  const logBucketBytes = count('HONGBAO_LOG_BUCKET_MB', LOG_BUCKET_MB_DEFAULT, 1_000_000) * 2 ** 20;
  const space = env.HONGBAO_CLUSTER || 'hongbao';
  if (!NAME_PART.test(space))
    wrong(
      'HONGBAO_CLUSTER',
      'a cluster’s name is of letters, digits and hyphens, at most 32. Write e.g. gala-2027.',
    );
  const controlUrl = httpUrl('HONGBAO_CONTROL_URL', env.HONGBAO_CONTROL_URL, wrong);
  const logMonitoringUrls = (env.HONGBAO_LOG_MONITORING ?? '')
    .split(SEPARATORS)
    .flatMap((url) => httpUrl('HONGBAO_LOG_MONITORING', url, wrong) ?? []);
  const totalsUrl = servers('HONGBAO_TOTALS', parseRedisUrl);
  const backupUrl = servers('HONGBAO_TOTALS_BACKUP', parseRedisUrl);
  if (logUrl === undefined && bookUrl === undefined) {
    for (const variable of ['HONGBAO_TOTALS', 'HONGBAO_TOTALS_BACKUP'])
      if (env[variable] || env[`${variable}_FILE`])
        wrong(
          variable,
          'one process alone counts by itself. Set HONGBAO_LOG and HONGBAO_BOOK too, or leave it out.',
        );
    if (roles.length < ROLES.length)
      wrong(
        'HONGBAO_ROLE',
        'one part alone shares its log and book with others. Set HONGBAO_LOG and HONGBAO_BOOK, or run all.',
      );
    return undefined;
  }
  if (logUrl === undefined || bookUrl === undefined)
    return wrong(
      logUrl === undefined ? 'HONGBAO_LOG' : 'HONGBAO_BOOK',
      'log and book go together: a shared one beside one of this process alone would contradict it. Set both, or neither.',
    );
  if (!hasLedger)
    wrong('HONGBAO_LEDGER', 'the parts of a cluster share a ledger. Set postgres:// URLs, one a shard.');
  const totalsUrls = [totalsUrl ?? bookUrl, ...(backupUrl === undefined ? [] : [backupUrl])];
  if (totalsUrls[0] === totalsUrls[1])
    wrong(
      'HONGBAO_TOTALS_BACKUP',
      'it names the servers that have the totals already. Name others, or leave it out.',
    );
  return {
    space,
    logUrl,
    logMonitoringUrls,
    logReplicas,
    logBucketBytes,
    bookUrl,
    totalsUrls,
    buckets,
    controlUrl,
  };
}

/** Undefined for none; a wrong one is told of, and stands as it is. Scheme and password may stand before each server or before the first only. */
function serverUrl(
  variable: string,
  text: string | undefined,
  parse: (url: string) => unknown,
  wrong: Wrong,
): string | undefined {
  if (!text || text === 'embedded:') return undefined;
  const [, first] = /^\w+:\/\/([^@/,\s]*@)?/.exec(text.trim()) ?? [];
  const url = text
    .trim()
    .replace(/[\s,]+(?:nats|tls|rediss?):\/\/([^@/,\s]*@)?/g, (whole, own?: string) =>
      own === undefined || own === first ? ',' : whole,
    );
  try {
    parse(url);
    return url;
  } catch (error) {
    wrong(variable, `${(error as Error).message}. Or leave it out.`);
    return text;
  }
}

function countOf(
  variable: string,
  text: string | undefined,
  fallback: number,
  max: number,
  wrong: Wrong,
): number {
  if (!text) return fallback;
  const count = /^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= max) return count;
  wrong(variable, `"${text}" is no number from 1 to ${max}. Write plain digits, e.g. ${fallback}.`);
  return fallback;
}

export function httpUrl(variable: string, text: string | undefined, wrong: Wrong): string | undefined {
  if (!text) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/$/, '');
  return wrong(variable, 'it is no http(s):// URL. Write e.g. http://10.0.0.5:8080');
}
