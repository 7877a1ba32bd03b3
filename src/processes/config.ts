import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import type { JWK } from 'jose';
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import { editDistance } from '../campaign/nearest.ts';
import { SESSION_ALGORITHMS, type SessionKey } from '../guard/sessions.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/logger.ts';
import { parseAppId } from '../vocabulary/ids.ts';
import {
  CLUSTER_SECRETS,
  CLUSTER_VARIABLES,
  type ClusterConfig,
  httpUrl,
  type Role,
  readCluster,
  readDatabases,
  readRoles,
} from './config-cluster.ts';

export interface Config {
  readonly roles: readonly Role[];
  readonly port: number;
  readonly host: string;
  readonly opsPort: number;
  readonly opsHost: string;
  readonly dataFolder: string;
  /** The keyring's; processes of one cluster share it. */
  readonly keysFolder: string;
  /** Where a gateway sends the wallet's requests when it has no wallet part of its own. */
  readonly walletUrl: string | undefined;
  /** One a shard; none: the embedded Postgres. */
  readonly ledgerUrls: readonly string[];
  /** Of control and budgets; undefined: the ledger's first. */
  readonly controlDatabaseUrl: string | undefined;
  /** Undefined: this process is the whole engine. */
  readonly cluster: ClusterConfig | undefined;
  /** Undefined: the embedded sandbox. */
  readonly payoutUrl: string | undefined;
  /** Who hands pieces out; `none`: they wait. */
  readonly connectors: 'sandbox' | 'none' | { readonly file: string };
  readonly sessionKeys: readonly SessionKey[];
  readonly logLevel: LogLevel;
  readonly creditRate: number | undefined;
}

/** What is wrong with the environment: what happened, what it means, what to do. */
export interface ConfigProblem {
  readonly variable: string;
  readonly message: string;
}

export const VARIABLES = {
  HONGBAO_PORT: 'Port of the players’ gateway (HTTP, WebSocket, page). Default 8080',
  HONGBAO_HOST: 'Address that the gateway listens on. Default 127.0.0.1',
  HONGBAO_OPS_PORT: 'Port of operations, metrics and health. Default HONGBAO_PORT + 1',
  HONGBAO_DATA: 'Folder of the journal, keys and the embedded Postgres. Default ./.hongbao',
  HONGBAO_KEYS: 'Folder of the keyring, shared by the processes of a cluster. Default HONGBAO_DATA/keys',
  HONGBAO_OPS_HOST: 'Address that operations, metrics and health listen on. Default 127.0.0.1',
  HONGBAO_LEDGER:
    'postgres:// URL of the ledger, several for shards; embedded: (default) runs the Postgres from npm. Also HONGBAO_LEDGER_FILE',
  HONGBAO_PAYOUT: 'http(s):// URL of the payout; embedded: (default in one process) runs the sandbox',
  HONGBAO_CONNECTORS:
    'YAML file of the downstreams that hand out pieces, followed while it runs; embedded: (default in one process) a sandbox',
  HONGBAO_SESSION_KEYS_FILE: 'JSON file with the session keys of the embedding apps',
  HONGBAO_LOG_LEVEL: `One of ${LOG_LEVELS.join(', ')}. Default warn`,
  HONGBAO_CREDIT_RATE:
    'Credits a second from this start on; what was set last, at first no limit, when not set',
  ...CLUSTER_VARIABLES,
} as const;

/** Read by tests and tools of this repository, not by the engine. */
const OTHERS = ['HONGBAO_SEED', 'HONGBAO_ROUNDS', 'HONGBAO_KILL_ROUNDS'];
const SECRETS = ['HONGBAO_LEDGER', 'HONGBAO_CONTROL', ...CLUSTER_SECRETS];
const OFFERED = [...Object.keys(VARIABLES), ...SECRETS.map((variable) => `${variable}_FILE`)];
/** More slips of the pen than this, and another name is no help. */
const SLIPS_MAX = 6;

/** Reads the environment once: the configuration, or everything that is wrong with it. */
export function readConfig(
  env: NodeJS.ProcessEnv,
): { config: Config; warnings: string[] } | { problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const wrong = (variable: string, message: string): undefined => {
    problems.push({ variable, message });
    return undefined;
  };
  const number = (variable: string, fallback: number, min: number, max: number): number => {
    const text = env[variable];
    if (text === undefined || text === '') return fallback;
    const value = /^(0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    wrong(variable, `"${text}" is no number from ${min} to ${max}. Write plain digits, e.g. ${fallback}.`);
    return fallback;
  };
  const port = number('HONGBAO_PORT', 8080, 0, 65_534);
  const opsPort = number('HONGBAO_OPS_PORT', port === 0 ? 0 : port + 1, 0, 65_535);
  if (port !== 0 && port === opsPort)
    wrong(
      'HONGBAO_OPS_PORT',
      `it is HONGBAO_PORT, ${port}, too, and two can’t listen on one. Give operations a port of their own, e.g. ${port + 1}.`,
    );
  const roles = readRoles(env.HONGBAO_ROLE ?? '', wrong);
  const ledgerUrls = readDatabases('HONGBAO_LEDGER', secretText(env, 'HONGBAO_LEDGER', wrong), wrong);
  const config: Config = {
    roles,
    port,
    host: host(env, 'HONGBAO_HOST', wrong),
    opsPort,
    opsHost: host(env, 'HONGBAO_OPS_HOST', wrong),
    dataFolder: path.resolve(env.HONGBAO_DATA || '.hongbao'),
    keysFolder: path.resolve(env.HONGBAO_KEYS || path.join(env.HONGBAO_DATA || '.hongbao', 'keys')),
    walletUrl: httpUrl('HONGBAO_WALLET_URL', env.HONGBAO_WALLET_URL, wrong),
    ledgerUrls,
    controlDatabaseUrl: controlDatabase(env, wrong),
    cluster: readCluster(
      env,
      (variable) => secretText(env, variable, wrong),
      roles,
      ledgerUrls.length > 0,
      wrong,
    ),
    payoutUrl: payoutUrl(env, roles, wrong),
    connectors: connectors(env, roles),
    sessionKeys: sessionKeys(env.HONGBAO_SESSION_KEYS_FILE, wrong) ?? [],
    logLevel:
      LOG_LEVELS.find((level) => level === (env.HONGBAO_LOG_LEVEL || 'warn')) ??
      wrong(
        'HONGBAO_LOG_LEVEL',
        `"${env.HONGBAO_LOG_LEVEL}" is no level. Write one of ${LOG_LEVELS.join(', ')}.`,
      ) ??
      'warn',
    creditRate: env.HONGBAO_CREDIT_RATE ? number('HONGBAO_CREDIT_RATE', 1_000, 0, 10_000_000) : undefined,
  };
  return problems.length > 0
    ? { problems }
    : { config, warnings: [...waitingPieces(config), ...unknownVariables(env)] };
}

type Wrong = (variable: string, message: string) => undefined;

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;

function host(env: NodeJS.ProcessEnv, variable: string, wrong: Wrong): string {
  const text = env[variable] || '127.0.0.1';
  if (isIP(text) === 0 && (!HOST_NAME.test(text) || /^[0-9.]+$/.test(text)))
    wrong(
      variable,
      `"${text}" is no address to listen on. Write an IP address or a host name alone, e.g. 127.0.0.1 or 0.0.0.0.`,
    );
  return text;
}

/** From the variable, or from the file that NAME_FILE names, so that no password stands in an environment. */
function secretText(env: NodeJS.ProcessEnv, variable: string, wrong: Wrong): string | undefined {
  const file = env[`${variable}_FILE`];
  if (env[variable] && file)
    return wrong(
      variable,
      `it is set beside ${variable}_FILE, so it is not clear which is meant. Keep one of the two.`,
    );
  return file ? readText(`${variable}_FILE`, file, wrong)?.trim() : env[variable];
}

function controlDatabase(env: NodeJS.ProcessEnv, wrong: Wrong): string | undefined {
  const urls = readDatabases('HONGBAO_CONTROL', secretText(env, 'HONGBAO_CONTROL', wrong), wrong);
  return urls.length > 1 ? wrong('HONGBAO_CONTROL', 'control is one database. Name one.') : urls[0];
}

function payoutUrl(env: NodeJS.ProcessEnv, roles: readonly Role[], wrong: Wrong): string | undefined {
  const text = env.HONGBAO_PAYOUT;
  // Each process would run a sandbox of its own, and one withdrawal could be paid by two of them.
  if (!text && roles.includes('wallet') && !roles.includes('control'))
    return wrong(
      'HONGBAO_PAYOUT',
      'a wallet of a cluster needs it. Write https://payout.example, or embedded: while there is one wallet process.',
    );
  if (!text || text === 'embedded:') return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return text;
  return wrong(
    'HONGBAO_PAYOUT',
    'it is no http(s):// URL, so withdrawals could not be paid. Write https://payout.example, or leave it out for the sandbox.',
  );
}

function connectors(env: NodeJS.ProcessEnv, roles: readonly Role[]): Config['connectors'] {
  const text = env.HONGBAO_CONNECTORS;
  if (text && text !== 'embedded:') return { file: path.resolve(text) };
  // Each wallet of a cluster would run a sandbox of its own, and one piece could be handed out by two of them.
  return text || roles.includes('control') ? 'sandbox' : 'none';
}

const waitingPieces = ({ roles, connectors: who }: Config): string[] =>
  roles.includes('wallet') && who === 'none'
    ? [
        'HONGBAO_CONNECTORS is not set, so this wallet hands out no pieces: they wait. Name the file of the downstreams, or write embedded: while there is one wallet process.',
      ]
    : [];

const SessionKeysFile = Type.Array(
  Type.Object({
    appId: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
    name: Type.String({ minLength: 1, maxLength: 64 }),
    alg: Type.Enum([...SESSION_ALGORITHMS]),
    key: Type.Record(Type.String(), Type.Unknown()),
    audience: Type.Optional(Type.String({ minLength: 1 })),
  }),
  { minItems: 1 },
);

function sessionKeys(file: string | undefined, wrong: Wrong): SessionKey[] | undefined {
  if (!file) return [];
  const text = readText('HONGBAO_SESSION_KEYS_FILE', file, wrong);
  if (text === undefined) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return wrong(
      'HONGBAO_SESSION_KEYS_FILE',
      'the file is no JSON, so no session could be checked. It is a list of {appId, name, alg, key}.',
    );
  }
  if (!Check(SessionKeysFile, content)) {
    return wrong(
      'HONGBAO_SESSION_KEYS_FILE',
      `the file is no list of {appId, name, alg (${SESSION_ALGORITHMS.join(' or ')}), key (a JWK), audience?}.`,
    );
  }
  const misfit = content.find(({ alg, key }) => !fitsAlgorithm(alg, key));
  if (misfit) {
    return wrong(
      'HONGBAO_SESSION_KEYS_FILE',
      `the key of ${JSON.stringify(misfit.name)} does not fit its alg: HS256 takes {kty: oct, k} of at least ${HS256_KEY_BYTES_MIN} bytes, EdDSA a public {kty: OKP, crv: Ed25519, x}.`,
    );
  }
  const twice = content.find(
    (one, at) => content.findIndex(({ name, appId }) => name === one.name || appId === one.appId) !== at,
  );
  if (twice)
    return wrong(
      'HONGBAO_SESSION_KEYS_FILE',
      `${JSON.stringify(twice.name)} (app ${twice.appId}) shares its name or id with another, so sessions of one would be taken for the other’s. Keep one key for each app.`,
    );
  return content.map((one) => ({
    appId: parseAppId(one.appId)!,
    name: one.name,
    alg: one.alg,
    key: one.key as JWK,
    audience: one.audience ?? 'hongbao',
  }));
}

/** RFC 7518, 3.2: a key at least as long as the hash. A shorter one can be guessed offline from one session. */
const HS256_KEY_BYTES_MIN = 32;

function fitsAlgorithm(alg: SessionKey['alg'], key: Readonly<Record<string, unknown>>): boolean {
  if (alg === 'HS256') {
    return (
      key.kty === 'oct' &&
      typeof key.k === 'string' &&
      /^[A-Za-z0-9_-]+$/.test(key.k) &&
      Buffer.from(key.k, 'base64url').length >= HS256_KEY_BYTES_MIN
    );
  }
  if (key.kty !== 'OKP' || key.crv !== 'Ed25519' || key.d !== undefined) return false;
  try {
    createPublicKey({ key, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}

function readText(variable: string, file: string, wrong: Wrong): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return wrong(
      variable,
      `the file can't be read (${(error as NodeJS.ErrnoException).code}). Give a path that this user may read.`,
    );
  }
}

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('HONGBAO_') && ![...OFFERED, ...OTHERS].includes(name))
    .map((name) => {
      const distance = (offered: string): number => editDistance(name, offered);
      const [nearest] = [...OFFERED].sort((a, b) => distance(a) - distance(b));
      const meant =
        distance(nearest!) <= SLIPS_MAX
          ? `; did you mean ${nearest}?`
          : ' (docs/operations.md lists them all).';
      return `${name} is no variable of Hongbao and does nothing${meant}`;
    });
}

/** The configuration without anything secret. */
export const redactConfig = (config: Config): Record<string, unknown> => ({
  ...config,
  ledgerUrls: config.ledgerUrls.length > 0 ? config.ledgerUrls.map(redactUrl) : 'embedded:',
  controlDatabaseUrl: redactUrl(config.controlDatabaseUrl) ?? 'the ledger’s',
  cluster: config.cluster && {
    ...config.cluster,
    logUrl: redactServers(config.cluster.logUrl),
    logMonitoringUrls: config.cluster.logMonitoringUrls.map(redactUrl),
    bookUrl: redactServers(config.cluster.bookUrl),
    totalsUrls: config.cluster.totalsUrls.map(redactServers),
  },
  payoutUrl: redactUrl(config.payoutUrl) ?? 'embedded:',
  sessionKeys: config.sessionKeys.map(({ appId, name, alg, audience }) => ({
    appId,
    name,
    alg,
    audience,
    key: '[redacted]',
  })),
});

/** Password and query go (drivers take ?password=, providers ?key=); what is left says which server it is. */
function redactUrl(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (!URL.canParse(text)) return '[redacted]';
  const url = new URL(text);
  if (url.password !== '') url.password = 'redacted';
  if (url.search !== '') url.search = '?redacted';
  url.hash = '';
  return url.href;
}

const redactServers = (url: string): string => url.replace(/\/\/[^@/]*@/, '//redacted@');
