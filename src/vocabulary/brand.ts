declare const brandOf: unique symbol;

/** A `Base` that only its own parser or constructor makes, so that an amount is never taken for an account. */
export type Brand<Base, Name extends string> = Base & { readonly [brandOf]: Name };
