/** Full-jitter exponential back-off: after many have lost their connection at once, they come back spread out. */
export interface BackOffOptions {
  /** The first wait is anything from 0 up to this. */
  readonly firstMs: number;
  /** No wait is longer than this. */
  readonly maxMs: number;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
}

/** How long to wait before the next try after so many failures in a row (from 0), in ms. */
export const backOffMs = (failures: number, options: BackOffOptions): number =>
  Math.ceil(options.random() * Math.min(options.maxMs, options.firstMs * 2 ** Math.min(failures, 16)));
