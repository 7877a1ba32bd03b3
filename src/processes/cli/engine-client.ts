import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type RunFile, readRunFile } from '../run-file.ts';
import { CliFailure, EXIT } from './output.ts';

export interface Target {
  readonly url: string;
  readonly campaign: string;
  readonly run: RunFile | undefined;
}

export interface TargetOptions {
  readonly dataFolder: string;
  readonly port: number;
  readonly url?: string | undefined;
  readonly campaign?: string | undefined;
}

/** The engine that a command talks to: by --url, by the data folder's running engine, or by HONGBAO_PORT. */
export function findTarget(options: TargetOptions): Target {
  const run = readRunFile(options.dataFolder);
  const url = (options.url ?? `http://127.0.0.1:${run?.port ?? options.port}`).replace(/\/$/, '');
  return { url, campaign: options.campaign ?? run?.campaign ?? 'gala', run };
}

const NOT_RUNNING = (url: string) =>
  `No engine answers at ${url}. Start one with \`npm start\` (or say where it is with --url).`;

/** One request to the engine. Throws CliFailure when it can't be reached or says no. */
export async function ask(
  base: string,
  route: string,
  init: {
    method?: string;
    bearer?: string;
    body?: unknown;
    headers?: Record<string, string>;
    raw?: string;
  } = {},
): Promise<Record<string, unknown>> {
  const body = init.raw ?? (init.body === undefined ? undefined : JSON.stringify(init.body));
  let response: Response;
  try {
    response = await fetch(`${base}${route}`, {
      method: init.method ?? (body === undefined ? 'GET' : 'POST'),
      headers: {
        ...(body === undefined
          ? {}
          : { 'content-type': init.raw === undefined ? 'application/json' : 'application/yaml' }),
        ...(init.bearer === undefined ? {} : { authorization: `Bearer ${init.bearer}` }),
        ...init.headers,
      },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(30_000),
    });
  } catch {
    throw new CliFailure(EXIT.unreachable, NOT_RUNNING(base), { code: 'unreachable' });
  }
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.ok) return answer;
  const message = `${answer.title ?? 'Refused'}: ${answer.detail ?? response.status} (${answer.titleZh ?? ''})`;
  throw new CliFailure(EXIT.refused, message, {
    code: answer.code,
    status: response.status,
    retryable: answer.retryable,
    problems: answer.problems,
  });
}

export async function demoSession(target: Target, user: string): Promise<string> {
  const answer = await ask(target.url, '/demo/v1/sessions', { body: { user } });
  return answer.session as string;
}

/** What a phone would keep, in the data folder: tokens, unopened ticket, claim record. */
export interface Pocket {
  claimRecord?: string;
  tokens: Record<string, string>;
}

const TOKENS_MAX = 200;

const pocketFile = (dataFolder: string, target: Target, user: string): string =>
  path.join(
    dataFolder,
    'cli',
    `${createHash('sha256').update(`${target.campaign}\0${user}`).digest('hex').slice(0, 32)}.json`,
  );

export function readPocket(dataFolder: string, target: Target, user: string): Pocket {
  try {
    return JSON.parse(readFileSync(pocketFile(dataFolder, target, user), 'utf8')) as Pocket;
  } catch {
    return { tokens: {} };
  }
}

export function writePocket(dataFolder: string, target: Target, user: string, pocket: Pocket): void {
  const file = pocketFile(dataFolder, target, user);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const tokens = Object.fromEntries(Object.entries(pocket.tokens).slice(-TOKENS_MAX));
  writeFileSync(`${file}.next`, JSON.stringify({ ...pocket, tokens }), { mode: 0o600 });
  renameSync(`${file}.next`, file);
}
