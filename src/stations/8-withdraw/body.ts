import { Type } from 'typebox';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { PHONE_TOKENS_MAX, PhoneTokensShape } from '../../protocol/phone-tokens.ts';
import { type Fen, parsePositiveFen } from '../../vocabulary/fen.ts';

/** For the description only; `readWithdrawalBody` is what reads it. */
export const WithdrawalBodyShape = Type.Object(
  {
    amountFen: Type.Unsafe<unknown>({ type: 'integer', minimum: 1, description: 'In fen, 1/100 yuan' }),
    tokens: Type.Optional(PhoneTokensShape),
  },
  { additionalProperties: false },
);

export interface WithdrawalBody {
  readonly amountFen: Fen;
  readonly tokens: readonly string[];
}

/**
 * Reads the body of a withdrawal by hand: a schema's validator may take "1e3" or true for an amount, and would say
 * less about what is wrong with it. The amount is a JSON number, whole, from 1 to 2^53 − 1.
 */
export function readWithdrawalBody(body: unknown): WithdrawalBody | Refusal {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    return refuse('malformed', 'the body is a JSON object');
  const { amountFen, tokens = [], ...others } = body as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    return refuse('malformed', `the body has an unknown field ${JSON.stringify(unknown.slice(0, 40))}`);
  if (!Array.isArray(tokens) || tokens.some((token) => typeof token !== 'string'))
    return refuse('malformed', 'tokens is a list of sealed tokens in base64url');
  if (tokens.length > PHONE_TOKENS_MAX)
    return refuse('too-many-tokens', `send at most ${PHONE_TOKENS_MAX} at once`);
  const amount = typeof amountFen === 'number' ? parsePositiveFen(amountFen) : undefined;
  if (amount === undefined) return refuse('amount-invalid', 'amountFen is a whole number of fen, at least 1');
  return { amountFen: amount, tokens: tokens as string[] };
}

/** IETF draft-ietf-httpapi-idempotency-key-header: a visible string; 255 characters is what others accept. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/** The key of a request, or why it has none. A header that came twice is joined with a space, and so is refused. */
export function readIdempotencyKey(header: unknown): { readonly key: string } | Refusal {
  if (header === undefined)
    return refuse('idempotency-key-missing', 'send a fresh Idempotency-Key with each withdrawal');
  return typeof header === 'string' && IDEMPOTENCY_KEY.test(header)
    ? { key: header }
    : refuse('malformed', 'Idempotency-Key is 1 to 255 visible ASCII characters');
}
