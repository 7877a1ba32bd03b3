/** From how long the pauses start, and how long they get at most, in ms. */
export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Beyond this the doubling has long met any maximum, and 2 ** n would leave the whole numbers. */
const DOUBLINGS_MAX = 20;

/**
 * The pause after `failures` failed tries (0 after the first), in ms: doubled each time up to the most, and half of it
 * chance, so that those who failed together do not come back together. `random` is from 0 up to 1.
 */
export const backOffMs = ({ firstMs, maxMs }: BackOff, failures: number, random: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(failures, DOUBLINGS_MAX)) * (0.5 + random / 2);
