import pino from 'pino';

/** Never in a log, wherever it comes from. */
const REDACTED = [
  ...['authorization', 'cookie', 'session', 'jwt', 'token', 'tokens', 'ticket', 'claimRecord'],
  ...['secret', 'password', 'key', 'setupToken', 'operatorKey', 'identityKey'],
  ...['url', 'ledgerUrl', 'payoutUrl', 'connectionString', 'user', 'userKey', 'phone'],
];

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Structured logs, one JSON object a line, to standard error or to where the caller says. */
export const createLogger = (
  level: LogLevel,
  destination: pino.DestinationStream = pino.destination(2),
): pino.Logger =>
  pino(
    {
      level,
      base: null,
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  );
