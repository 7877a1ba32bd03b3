import type { Brand } from './brand.ts';

/** A moment in milliseconds since 1970 UTC, by the wall clock. Decides phases and rounds, never a lease. */
export type InstantMs = Brand<number, 'InstantMs'>;

export const instantMs = (value: number): InstantMs => value as InstantMs;

/** The clock that is handed in, so that rules stay pure and tests own the time. */
export interface Clock {
  /** Wall time; may step in either direction. */
  now(): InstantMs;
  /** Milliseconds since some start; never goes back. Leases and time-outs use this one. */
  monotonicMs(): number;
}
