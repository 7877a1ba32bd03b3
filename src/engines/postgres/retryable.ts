import { RetryableFault } from '../../protocol/failures.ts';

/** SQLSTATEs that may pass by themselves, and how long to wait before trying again, in ms. */
const DELAY_MS_OF_STATE: Readonly<Record<string, number>> = {
  '40001': 10, // serialisation failure
  '40P01': 10, // deadlock: somebody else went first
  '55P03': 50, // lock not available in time
  '57014': 100, // statement cancelled by its time-out
  '57P01': 200, // server is being shut down
  '57P02': 500, // crash of another backend
  '57P03': 200, // server is starting
  '53300': 200, // too many connections
  '53200': 500, // out of memory
  '53100': 2_000, // disk full
  '25006': 1_000, // read-only: a standby, or a failover on its way
  '25P03': 50, // we were frozen in a transaction for too long, which is undone
  '08000': 200,
  '08001': 200,
  '08003': 200,
  '08004': 500,
  '08006': 200,
  '08007': 200,
};

/** The last four are of this machine: no address, no buffer or no file descriptor is free. */
const NETWORK_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'ENOBUFS',
  'EMFILE',
  'ENFILE',
]);
const NETWORK_MESSAGES =
  /connection terminated|connection ended|timeout exceeded|read timeout|client has encountered a connection error|not queryable/i;

/** How long to wait before trying again, in ms; undefined when trying again would fail the same way. */
export function retryDelayMs(error: unknown): number | undefined {
  if (error instanceof RetryableFault) return error.delayMs;
  if (!(error instanceof Error)) return undefined;
  const code = (error as { code?: string }).code;
  if (code && code in DELAY_MS_OF_STATE) return DELAY_MS_OF_STATE[code];
  if (code && NETWORK_CODES.has(code)) return 200;
  return NETWORK_MESSAGES.test(error.message) ? 200 : undefined;
}

/**
 * Whether nobody answered: no connection, no answer in time, a server that is going or coming. A deadlock or a full
 * disk, though they may pass too, are answers of a server that is there.
 */
export function isAway(error: unknown): boolean {
  const found = error instanceof RetryableFault && error.cause ? error.cause : error;
  if (retryDelayMs(found) === undefined) return false;
  const { code } = found as { code?: string };
  return code === undefined || !(code in DELAY_MS_OF_STATE) || /^(08|57P)/.test(code);
}

/** The error as a fault that callers understand; what is no passing fault is given back as it is. */
export function asFault(error: unknown): unknown {
  const delayMs = retryDelayMs(error);
  if (delayMs === undefined || error instanceof RetryableFault) return error;
  return new RetryableFault(
    'ledger-unavailable',
    'The database did not answer; nothing is known to have been done',
    delayMs,
    {
      cause: error,
    },
  );
}

export interface RetryOptions {
  /** Tries in all. */
  readonly tries: number;
  readonly sleepMs: (delayMs: number) => Promise<void>;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
}

/**
 * Runs an idempotent act until it works, with full jitter and doubling delays; throws a RetryableFault after the last
 * try, and any other error at once.
 */
export async function withRetry<Result>(act: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await act();
    } catch (error) {
      const delayMs = retryDelayMs(error);
      if (delayMs === undefined || tried >= options.tries) throw asFault(error);
      await options.sleepMs(Math.ceil(options.random() * delayMs * 2 ** (tried - 1)));
    }
  }
}
