import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { JWK } from 'jose';
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import { editDistance } from '../campaign/check-structure.ts';
import { assertPostgresUrl } from '../engines/postgres/pool.ts';
import { SESSION_ALGORITHMS, type SessionKey } from '../guard/sessions.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/logger.ts';
import { parseAppId } from '../vocabulary/ids.ts';

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly opsPort: number;
  readonly dataFolder: string;
  /** Undefined: the embedded Postgres. */
  readonly ledgerUrl: string | undefined;
  /** Undefined: the embedded sandbox. */
  readonly payoutUrl: string | undefined;
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
  HONGBAO_HOST: 'Address that the gateway listens on. Default 127.0.0.1; operations stay on 127.0.0.1',
  HONGBAO_OPS_PORT: 'Port of operations, metrics and health. Default HONGBAO_PORT + 1',
  HONGBAO_DATA: 'Folder of the journal, keys and the embedded Postgres. Default ./.hongbao',
  HONGBAO_LEDGER:
    'postgres:// URL of the ledger; embedded: (default) runs the Postgres from npm. Also HONGBAO_LEDGER_FILE',
  HONGBAO_PAYOUT: 'http(s):// URL of the payout; embedded: (default) runs the sandbox',
  HONGBAO_SESSION_KEYS_FILE: 'JSON file with the session keys of the embedding apps',
  HONGBAO_LOG_LEVEL: `One of ${LOG_LEVELS.join(', ')}. Default warn`,
  HONGBAO_CREDIT_RATE: 'Credits a second at start; unlimited when not set',
} as const;

/** Read by tests and tools of this repository, not by the engine. */
const OTHERS = ['HONGBAO_LEDGER_FILE', 'HONGBAO_SEED', 'HONGBAO_KILL_ROUNDS'];

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
  const config: Config = {
    port,
    host: env.HONGBAO_HOST || '127.0.0.1',
    opsPort: number('HONGBAO_OPS_PORT', port === 0 ? 0 : port + 1, 0, 65_535),
    dataFolder: path.resolve(env.HONGBAO_DATA || '.hongbao'),
    ledgerUrl: ledgerUrl(env, wrong),
    payoutUrl: payoutUrl(env, wrong),
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
  return problems.length > 0 ? { problems } : { config, warnings: unknownVariables(env) };
}

type Wrong = (variable: string, message: string) => undefined;

function ledgerUrl(env: NodeJS.ProcessEnv, wrong: Wrong): string | undefined {
  const text = env.HONGBAO_LEDGER_FILE
    ? readText('HONGBAO_LEDGER_FILE', env.HONGBAO_LEDGER_FILE, wrong)?.trim()
    : env.HONGBAO_LEDGER;
  if (!text || text === 'embedded:') return undefined;
  try {
    assertPostgresUrl(text);
    return text;
  } catch (error) {
    return wrong('HONGBAO_LEDGER', `${(error as Error).message} Or leave it out to run the embedded one.`);
  }
}

function payoutUrl(env: NodeJS.ProcessEnv, wrong: Wrong): string | undefined {
  const text = env.HONGBAO_PAYOUT;
  if (!text || text === 'embedded:') return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return text;
  return wrong(
    'HONGBAO_PAYOUT',
    'it is no http(s):// URL, so withdrawals could not be paid. Write https://payout.example, or leave it out for the sandbox.',
  );
}

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
  const fits = content.every(({ alg, key }) =>
    alg === 'HS256' ? key.kty === 'oct' : key.kty === 'OKP' && key.crv === 'Ed25519' && key.d === undefined,
  );
  if (!fits)
    return wrong(
      'HONGBAO_SESSION_KEYS_FILE',
      'a key does not fit its alg: HS256 takes {kty: oct, k}, EdDSA a public {kty: OKP, crv: Ed25519, x}.',
    );
  return content.map((one) => ({
    appId: parseAppId(one.appId)!,
    name: one.name,
    alg: one.alg,
    key: one.key as JWK,
    audience: one.audience ?? 'hongbao',
  }));
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
  const known = [...Object.keys(VARIABLES), ...OTHERS];
  return Object.keys(env)
    .filter((name) => name.startsWith('HONGBAO_') && !known.includes(name))
    .map((name) => {
      const [nearest] = [...known].sort((a, b) => editDistance(name, a) - editDistance(name, b));
      return `${name} is no variable of Hongbao and does nothing; did you mean ${nearest}?`;
    });
}

/** The configuration without anything secret. */
export const redactConfig = (config: Config): Record<string, unknown> => ({
  ...config,
  ledgerUrl:
    config.ledgerUrl === undefined
      ? 'embedded:'
      : config.ledgerUrl.replace(/\/\/([^:@/]*):[^@/]*@/, '//$1:[redacted]@'),
  payoutUrl: config.payoutUrl ?? 'embedded:',
  sessionKeys: config.sessionKeys.map(({ appId, name, alg, audience }) => ({
    appId,
    name,
    alg,
    audience,
    key: '[redacted]',
  })),
});
