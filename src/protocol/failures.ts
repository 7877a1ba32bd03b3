import type { ErrorKind } from './error-kinds.ts';

/** A "no" with its reason. A value, not an exception; whoever returns it has moved nothing. */
export interface Refusal {
  readonly refused: ErrorKind;
  /** What exactly, for the developer who reads it (English, no personal data). */
  readonly detail: string;
}

export const refuse = (refused: ErrorKind, detail: string): Refusal => ({ refused, detail });

export const isRefusal = (value: unknown): value is Refusal =>
  typeof value === 'object' && value !== null && 'refused' in value;

/** Something outside failed in a way that may pass. Nothing is known to have been done, nor not done. */
export class RetryableFault extends Error {
  override readonly name = 'RetryableFault';
  constructor(
    readonly kind: ErrorKind,
    message: string,
    /** When to try again, in ms; the one layer that retries adds jitter. */
    readonly delayMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** One of I1–I8 does not hold. The process stops: going on could only make it worse. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant';
  constructor(
    readonly invariant: 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8',
    message: string,
  ) {
    super(`${invariant} is broken: ${message}`);
  }
}
