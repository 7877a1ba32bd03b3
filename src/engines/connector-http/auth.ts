import { createHmac } from 'node:crypto';
import type { AuthDraft } from './schema.ts';
import { fill } from './template.ts';

/** What is signed, where a signature is wanted. `path` with its query, as it is asked for. */
export interface SignedParts {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** The headers by which a downstream knows us. */
export type Authorize = (parts: SignedParts) => Readonly<Record<string, string>>;

export const SIGNED = ['timestamp', 'method', 'path', 'body'] as const;

/** `secretOf` gives what an environment variable holds; `nowMs` goes into signatures. */
export function createAuthorize(
  auth: AuthDraft | undefined,
  secretOf: (variable: string) => string,
  nowMs: () => number,
): Authorize {
  switch (auth?.kind) {
    case undefined:
    case 'none':
      return () => ({});
    case 'bearer': {
      const authorization = `Bearer ${secretOf(auth.tokenEnv!)}`;
      return () => ({ authorization });
    }
    case 'basic': {
      const pair = `${secretOf(auth.userEnv!)}:${secretOf(auth.passwordEnv!)}`;
      const authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
      return () => ({ authorization });
    }
    case 'hmac-sha256': {
      const secret = secretOf(auth.secretEnv!);
      const { signs = '{timestamp}.{body}', encoding = 'hex' } = auth;
      return (parts) => {
        const timestamp = String(Math.floor(nowMs() / 1_000));
        const signed = fill(signs, { timestamp, ...parts }, (one) => one);
        return {
          [auth.timestampHeader ?? 'x-timestamp']: timestamp,
          [auth.signatureHeader ?? 'x-signature']: createHmac('sha256', secret)
            .update(signed)
            .digest(encoding),
        };
      };
    }
  }
}
