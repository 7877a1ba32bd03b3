import { Type } from 'typebox';
import { SEALED_TOKEN_BYTES_MAX } from './token-codec.ts';

/** How many tokens a phone may show at once: far more than a person can win in a phase. */
export const PHONE_TOKENS_MAX = 200;

/** The longest sealed token, in base64url characters. */
export const PHONE_TOKEN_CHARS_MAX = Math.ceil((SEALED_TOKEN_BYTES_MAX * 4) / 3);

/** Room for that many of the longest, with quotes, commas and the rest of the body. */
export const PHONE_TOKENS_BODY_BYTES_MAX = PHONE_TOKENS_MAX * (PHONE_TOKEN_CHARS_MAX + 3) + 1_024;

/** Count and length are refused by the handler, which names what is wrong; the body's size is bounded by the route. */
export const PhoneTokensShape = Type.Array(Type.String(), {
  description: `Sealed tokens that the phone keeps, base64url; at most ${PHONE_TOKENS_MAX}`,
});
