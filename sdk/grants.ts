import {
  type BatchAnswer,
  type Encoding,
  type GrantAsk,
  type GrantResult,
  readAnswer,
  requestOf,
} from './grant-wire.ts';

export type { Encoding, GrantAsk, GrantResult } from './grant-wire.ts';

export interface GrantClientOptions {
  /**
   * The gateways. With several, a person's asks go to the same one: to the next when it can't be reached, or has been
   * silent for longer than a gateway works on a request. Two that work on one ask at the same moment wait for one
   * another; while the token book is away they may promise it twice (the ledger pays one).
   */
  readonly url: string | readonly string[];
  /** `hbu_…`, from `hongbao upstream add`. */
  readonly secret: string;
  /** How asks travel; protobuf unless told otherwise. */
  readonly encoding?: Encoding;
  /** How long one try may take, in ms. Default 3,000. */
  readonly timeoutMs?: number;
  /** Tries of one ask, the first included. Default 6. */
  readonly triesMax?: number;
  /** The pause before the second try, in ms, doubled with each further one and chosen by chance below that. Default 100. */
  readonly pauseMs?: number;
  readonly fetch?: typeof fetch;
  readonly random?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

export interface GrantClient {
  /** One ask. Resolves with its outcome, whatever that is; never rejects for what the network or a server does. */
  grant(ask: GrantAsk): Promise<GrantResult>;
  /** Any number of asks; the results stand in their order. Only what is not settled is asked again. */
  grantAll(asks: readonly GrantAsk[]): Promise<GrantResult[]>;
}

const TIMEOUT_MS = 3_000;
const TRIES_MAX = 6;
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 5_000;
const BATCH_ASKS_MAX = 500;
/** Longer than a gateway works on a request: by then a try that was lost has ended, one way or the other. */
const SETTLED_AFTER_MS = 15_000;

/** An ask until it is settled. */
interface Pending {
  readonly ask: GrantAsk;
  /** Which gateway; moves on when that one can't be reached. */
  gateway: number;
  /** Tries that this gateway may still be working on. */
  silent: number;
  result: GrantResult | undefined;
  /** Some try may have been done without our hearing of it: a later "no" does not undo it. */
  isUnheard: boolean;
}

/**
 * Grants for services upstream. An ask is retried under the same identity until it is settled or the tries are used
 * up; what is still unknown then is said to be unknown, and may be asked again at any time, by anybody, with the same
 * ask.
 */
export function createGrantClient(options: GrantClientOptions): GrantClient {
  const urls = (typeof options.url === 'string' ? [options.url] : options.url).map((url) =>
    url.replace(/\/+$/, ''),
  );
  if (urls.length === 0) throw new RangeError('no gateway is named');
  const encoding = options.encoding ?? 'protobuf';
  const random = options.random ?? Math.random;
  const sleep = options.sleep ?? ((ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)));

  async function send(gateway: number, asks: readonly GrantAsk[]): Promise<BatchAnswer> {
    const { path, body, type } = requestOf(asks, encoding);
    try {
      const response = await (options.fetch ?? fetch)(`${urls[gateway]}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${options.secret}`, 'content-type': type },
        body,
        signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      });
      return readAnswer(asks.length, response, new Uint8Array(await response.arrayBuffer()));
    } catch (error) {
      return { unreachable: reasonOf(error), wasSent: !wasNeverSent(error) };
    }
  }

  async function askTogether(group: readonly Pending[]): Promise<void> {
    const [{ gateway }] = group as [Pending];
    const answer = await send(
      gateway,
      group.map(({ ask }) => ask),
    );
    for (const [at, one] of group.entries()) {
      if ('outcomes' in answer) note(one, answer.outcomes[at]!, true);
      else note(one, unreachable(answer.unreachable), answer.wasSent);
    }
    if ('unreachable' in answer) for (const one of group) moveOn(one, answer.wasSent);
  }

  const silentMax = Math.ceil(SETTLED_AFTER_MS / (options.timeoutMs ?? TIMEOUT_MS));

  /** To the next gateway, unless this one may still be working on what was sent. */
  function moveOn(one: Pending, wasSent: boolean): void {
    if (wasSent) one.silent += 1;
    if (wasSent && one.silent < silentMax) return;
    one.gateway = (one.gateway + 1) % urls.length;
    one.silent = 0;
  }

  /** Asks what is not settled once more, together where it goes to the same gateway. */
  async function round(open: readonly Pending[]): Promise<void> {
    const groups = new Map<number, Pending[]>();
    for (const one of open) {
      const group = groups.get(one.gateway);
      if (group) group.push(one);
      else groups.set(one.gateway, [one]);
    }
    const batches = [...groups.values()].flatMap((group) =>
      Array.from({ length: Math.ceil(group.length / BATCH_ASKS_MAX) }, (_, at) =>
        group.slice(at * BATCH_ASKS_MAX, (at + 1) * BATCH_ASKS_MAX),
      ),
    );
    await Promise.all(batches.map(askTogether));
  }

  async function settle(pending: readonly Pending[]): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      const open = pending.filter(isOpen);
      if (open.length === 0) return;
      await round(open);
      if (tried >= (options.triesMax ?? TRIES_MAX)) return;
      const again = pending.filter(isOpen);
      if (again.length > 0) await sleep(pauseOf(again, tried));
    }
  }

  function pauseOf(again: readonly Pending[], tried: number): number {
    const most = Math.min(PAUSE_MS_MAX, (options.pauseMs ?? PAUSE_MS) * 2 ** (tried - 1));
    const asked = again.map(({ result }) => (result?.outcome === 'unknown' ? result.retryAfterMs : 0));
    return Math.min(PAUSE_MS_MAX, Math.max(0, ...asked)) + Math.ceil(random() * most);
  }

  async function grantAll(asks: readonly GrantAsk[]): Promise<GrantResult[]> {
    const pending = asks.map(
      (ask): Pending => ({
        ask,
        gateway: hashOf(`${ask.app}\0${ask.user}`) % urls.length,
        silent: 0,
        result: undefined,
        isUnheard: false,
      }),
    );
    await settle(pending);
    return pending.map(({ result }) => result!);
  }

  return { grantAll, grant: async (ask) => (await grantAll([ask]))[0]! };
}

/** A "no" that follows a try of which nobody has heard is not the end of it: that try may still be under way. */
function note(one: Pending, result: GrantResult, wasSent: boolean): void {
  one.result =
    result.outcome === 'refused' && one.isUnheard && !result.retryable
      ? {
          outcome: 'unknown',
          code: result.code,
          detail: `an earlier try was not answered; the last was refused: ${result.detail}`,
          retryAfterMs: SETTLED_AFTER_MS,
          isFinal: true,
        }
      : result;
  if (result.outcome === 'unknown' && wasSent) one.isUnheard = true;
}

const isOpen = ({ result }: Pending): boolean =>
  result === undefined ||
  (result.outcome === 'unknown' && result.isFinal !== true) ||
  (result.outcome === 'refused' && result.retryable);

const unreachable = (detail: string): GrantResult => ({
  outcome: 'unknown',
  code: 'unreachable',
  detail,
  retryAfterMs: 0,
});

const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/** Whether no connection came about at all. */
const wasNeverSent = (error: unknown): boolean => NEVER_SENT.has(codeOf(error) ?? '');

function codeOf(error: unknown): string | undefined {
  const { cause, code } = error as { readonly cause?: unknown; readonly code?: unknown };
  if (cause !== undefined && cause !== null) return codeOf(cause);
  return typeof code === 'string' ? code : undefined;
}

const reasonOf = (error: unknown): string => codeOf(error) ?? (error as Error).name;

/** FNV-1a: which gateway a person's asks go to. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
