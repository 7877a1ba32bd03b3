import { describe, expect, it } from 'vitest';
import { createLogger } from './logger.ts';

/** What a log holds after `write`, as one text. */
function logged(write: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = '';
  const keep = (line: string): void => {
    text += line;
  };
  write(createLogger('debug', { write: keep }));
  return text;
}

const NAMES = [
  'authorization',
  'cookie',
  'session',
  'jwt',
  'token',
  'tokens',
  'ticket',
  'claimRecord',
  'secret',
  'password',
  'key',
  'setupToken',
  'operatorKey',
  'url',
  'ledgerUrl',
  'payoutUrl',
  'connectionString',
  'user',
  'phone',
];

describe('the log', () => {
  it.each(NAMES)('holds no %s, at the top or within', (name) => {
    const text = logged((logger) => {
      logger.info({ [name]: 'pa55word' }, 'at the top');
      logger.warn({ request: { [name]: 'pa55word' } }, 'within');
      logger.error({ request: { headers: { [name]: 'pa55word' } } }, 'within that');
      logger.child({ [name]: 'pa55word' }).debug('of a child');
      logger.info({ [name]: ['pa55word'] }, 'in a list');
    });
    expect(text).not.toContain('pa55word');
    expect(text.trimEnd().split('\n')).toHaveLength(5);
  });

  it('holds no secret that hangs on an error', () => {
    const error = Object.assign(new Error('refused'), {
      connectionString: 'postgres://app:pa55word@db',
      config: { password: 'pa55word' },
    });
    expect(logged((logger) => logger.error({ err: error }, 'down'))).not.toContain('pa55word');
  });

  it('holds what helps: level, time, message, kind, trace', () => {
    const line = JSON.parse(
      logged((logger) => logger.error({ kind: 'log-unavailable', traceId: 'abc' }, 'no promise')),
    ) as Record<string, unknown>;
    expect(line).toMatchObject({ kind: 'log-unavailable', traceId: 'abc', msg: 'no promise' });
    expect(line).toHaveProperty('time');
  });
});
