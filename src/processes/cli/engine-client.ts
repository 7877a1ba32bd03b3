import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
  if (
    options.url !== undefined &&
    !/^https?:$/.test(URL.canParse(options.url) ? new URL(options.url).protocol : '')
  ) {
    throw new CliFailure(
      EXIT.usage,
      `"${options.url}" is no address of an engine. Write it as http://localhost:8080.`,
      { code: 'usage' },
    );
  }
  const run = readRunFile(options.dataFolder);
  const url = (options.url ?? `http://127.0.0.1:${run?.port ?? options.port}`).replace(/\/$/, '');
  return { url, campaign: options.campaign ?? run?.campaign ?? 'gala', run };
}

export const NOT_RUNNING = (url: string) =>
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

const TRIES = 6;
const TRY_EVERY_MS = 500;

/** Asks again while the engine says that the same request may succeed later. Only for requests that may come twice. */
export async function insist<Answer>(once: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await once();
    } catch (error) {
      if (tries === TRIES || !(error instanceof CliFailure) || error.details.retryable !== true) throw error;
      await delay(TRY_EVERY_MS);
    }
  }
}

export async function demoSession(target: Target, user: string): Promise<string> {
  try {
    const answer = await insist(() => ask(target.url, '/demo/v1/sessions', { body: { user } }));
    return answer.session as string;
  } catch (error) {
    if (!(error instanceof CliFailure) || error.details.code !== 'not-found') throw error;
    throw new CliFailure(
      EXIT.refused,
      `The engine at ${target.url} gives no demo sessions (it was not started by \`hongbao dev\`). Bring one from your app’s backend with --session.`,
      error.details,
    );
  }
}

/** What a phone would keep, in the data folder: tokens by order number, and the claim record. */
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
    return {
      tokens: {},
      ...(JSON.parse(readFileSync(pocketFile(dataFolder, target, user), 'utf8')) as Partial<Pocket>),
    };
  } catch {
    return { tokens: {} };
  }
}

export function writePocket(dataFolder: string, target: Target, user: string, pocket: Pocket): void {
  const file = pocketFile(dataFolder, target, user);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const tokens = Object.fromEntries(Object.entries(pocket.tokens).slice(-TOKENS_MAX));
  // A name of its own: two commands of one person may write at once, and either's is right.
  const next = `${file}.${randomUUID()}`;
  writeFileSync(next, JSON.stringify({ ...pocket, tokens }), { mode: 0o600 });
  renameSync(next, file);
}
