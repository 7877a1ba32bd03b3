import { oneOf } from '../../campaign/nearest.ts';
import type { PathPart, PathProblem } from '../../campaign/problems.ts';
import { parseStatus } from './answer.ts';
import { SIGNED } from './auth.ts';
import type { AnswerRuleDraft, AuthDraft, ConnectorDraft, ConnectorsDraft, RequestDraft } from './schema.ts';
import { PLACEHOLDERS, placeholdersIn } from './template.ts';

type Say = (path: readonly PathPart[], message: string, expected: string) => void;
type Env = Readonly<Record<string, string | undefined>>;

const ENV_NAME = /^[A-Z_][A-Z0-9_]*$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** The exchange sets these itself. */
const OWN_HEADERS = ['host', 'content-length', 'connection', 'transfer-encoding', 'content-type'];
const VISIBLE = /^[\x20-\x7e]*$/;
const POINTER = /^(\/([^~/]|~0|~1)*)+$/;
/** The fulfiller's own name for what needs nobody (src/stations/6-fulfil/in-house.ts). */
const RESERVED = 'in-house';

/**
 * What a connectors file may still get wrong when its shape is right: placeholders that are none, secrets that are not
 * there, rules that would take a cut connection's status for "not handed out". Parts that are not well formed are left
 * to the schema's check.
 */
export function checkConnectors(draft: ConnectorsDraft, env: Env, isWellFormed: boolean): PathProblem[] {
  const problems: PathProblem[] = [];
  const say: Say = (path, message, expected) => problems.push({ path, message, expected });
  const part = (check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (isWellFormed) throw error;
    }
  };
  part(() => {
    const names = draft.connectors.map(({ name }) => name);
    for (const [at, entry] of draft.connectors.entries()) {
      const path = ['connectors', at];
      part(() => {
        if (names.indexOf(entry.name) !== at)
          say([...path, 'name'], `the connector "${entry.name}" is there twice`, 'each name once');
        if (entry.name === RESERVED)
          say([...path, 'name'], `"${RESERVED}" is what needs no downstream`, 'another name');
      });
      part(() => checkUrl(entry.url, [...path, 'url'], say));
      for (const asked of ['give', 'query'] as const)
        part(() => checkRequest(entry, asked, [...path, asked], say));
      part(() => checkAuth(entry.auth, [...path, 'auth'], env, say));
      part(() => entry.echo && checkPointer(entry.echo.at, [...path, 'echo', 'at'], say));
      part(() => entry.echo && checkTemplate(entry.echo.is, [...path, 'echo', 'is'], say));
      part(() => {
        for (const [number, rule] of entry.answers.entries())
          part(() => checkRule(rule, [...path, 'answers', number], say));
        if (!entry.answers.some(({ means }) => means === 'fulfilled'))
          say([...path, 'answers'], 'no answer means fulfilled', 'a rule for what was handed out');
      });
    }
  });
  return problems;
}

function checkUrl(text: string, path: readonly PathPart[], say: Say): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const expected = 'an address as https://coupons.example/api';
  if (!url || !/^https?:$/.test(url.protocol))
    say(path, `"${text.slice(0, 60)}" is no http(s) URL`, expected);
  else if (url.username !== '' || url.password !== '')
    say(path, 'it holds a secret', 'the secret in an environment variable, named under auth');
  else if (url.search !== '' || url.hash !== '') say(path, 'it has a query', `${expected}; a query in path`);
}

function checkRequest(entry: ConnectorDraft, asked: 'give' | 'query', path: PathPart[], say: Say): void {
  const request: RequestDraft = entry[asked];
  if (!request.path.startsWith('/') || /[\s#\\]/.test(request.path))
    say([...path, 'path'], `"${request.path.slice(0, 60)}" is no path`, 'a path from the first / on');
  checkTemplate(request.path, [...path, 'path'], say);
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    const at = [...path, 'headers', name];
    if (!HEADER_NAME.test(name) || OWN_HEADERS.includes(name.toLowerCase()))
      say(at, `the header "${name}" can’t be set`, 'the name of a header of theirs');
    if (name.toLowerCase() === 'authorization')
      say(at, 'a secret stands in the file', 'auth, with the secret in an environment variable');
    if (!VISIBLE.test(value)) say(at, 'it has characters that no header can have', 'visible ASCII');
    checkTemplate(value, at, say);
  }
  if (request.method === 'GET' && request.body !== undefined)
    say([...path, 'body'], 'a GET has no body', 'another method, or what is asked in the path');
  for (const [at, text] of textsIn(request.body, [...path, 'body'])) checkTemplate(text, at, say);
  if (!JSON.stringify(request).includes('{orderNumber}'))
    say(path, 'the order number is nowhere in it', '{orderNumber}: it is what makes asking again harmless');
}

function textsIn(value: unknown, path: readonly PathPart[]): [readonly PathPart[], string][] {
  if (typeof value === 'string') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) =>
    textsIn(one, [...path, Array.isArray(value) ? Number(name) : name]),
  );
}

function checkTemplate(
  text: string,
  path: readonly PathPart[],
  say: Say,
  known: readonly string[] = Object.keys(PLACEHOLDERS),
): void {
  for (const name of placeholdersIn(text))
    if (!known.includes(name)) say(path, `there is no placeholder {${name}}`, oneOf(name, known));
}

function checkPointer(text: string, path: readonly PathPart[], say: Say): void {
  if (!POINTER.test(text))
    say(path, `"${text}" is no JSON pointer`, 'names with a / before each: /data/code');
}

type AuthField = keyof AuthDraft;
const SECRETS_OF: Readonly<Record<AuthDraft['kind'], readonly AuthField[]>> = {
  none: [],
  bearer: ['tokenEnv'],
  basic: ['userEnv', 'passwordEnv'],
  'hmac-sha256': ['secretEnv'],
};
const FIELDS_OF_HMAC: readonly AuthField[] = ['signs', 'encoding', 'signatureHeader', 'timestampHeader'];

function checkAuth(auth: AuthDraft | undefined, path: PathPart[], env: Env, say: Say): void {
  if (!auth) return;
  const needed = SECRETS_OF[auth.kind];
  for (const field of Object.keys(auth) as AuthField[]) {
    const isOfKind =
      needed.includes(field) || (auth.kind === 'hmac-sha256' && FIELDS_OF_HMAC.includes(field));
    if (field !== 'kind' && !isOfKind)
      say([...path, field], `${field} is not of ${auth.kind}`, needed.join(' and ') || 'nothing beside kind');
  }
  for (const field of needed) {
    const variable = auth[field];
    if (variable === undefined)
      say(path, `the field "${field}" is missing`, 'an environment variable’s name');
    else if (!ENV_NAME.test(variable))
      say([...path, field], 'it is no environment variable’s name', 'capitals, digits and underscores');
    else if (!env[variable])
      say([...path, field], `the environment variable ${variable} is not set`, 'the secret in it');
    else if (!VISIBLE.test(env[variable]))
      say([...path, field], `${variable} has characters that no header can have`, 'visible ASCII');
  }
  if (auth.signs !== undefined) {
    checkTemplate(auth.signs, [...path, 'signs'], say, SIGNED);
    if (!placeholdersIn(auth.signs).includes('timestamp'))
      say([...path, 'signs'], 'it holds for ever', '{timestamp}, so that it can’t be sent again');
  }
  for (const field of ['signatureHeader', 'timestampHeader'] as const)
    if (auth[field] !== undefined && !HEADER_NAME.test(auth[field]))
      say([...path, field], `"${auth[field]}" is no header’s name`, 'as x-signature');
}

function checkRule(rule: AnswerRuleDraft, path: PathPart[], say: Say): void {
  if (rule.status !== undefined && !parseStatus(rule.status))
    say([...path, 'status'], 'it is no HTTP status', 'a number as 200, or a class as 4xx');
  for (const [pointer, value] of Object.entries(rule.json ?? {})) {
    checkPointer(pointer, [...path, 'json', pointer], say);
    if (typeof value === 'object' && value !== null)
      say(
        [...path, 'json', pointer],
        'it is compared with a list or mapping',
        'a text, number, true or null',
      );
  }
  for (const field of ['voucher', 'reason'] as const)
    if (rule[field] !== undefined) checkPointer(rule[field], [...path, field], say);
  if (rule.voucher !== undefined && rule.means !== 'fulfilled')
    say([...path, 'voucher'], `a voucher of what is ${rule.means}`, 'it only where means is fulfilled');
  const hasJson = Object.keys(rule.json ?? {}).length > 0;
  if (rule.means === 'unknown') return;
  if (!hasJson && rule.status === undefined)
    say(path, `any answer at all would be ${rule.means}`, 'a status, or json, that tells it from others');
  // A proxy's 502, or a crash after the deed: a 5xx alone says nothing about what was done.
  else if (!hasJson && /^5/.test(String(rule.status)))
    say(path, `a status of 5xx alone is taken for ${rule.means}`, 'json that says so, or means: unknown');
}
