/** Full-jitter exponential back-off: after many have lost their connection at once, they come back spread out. */
export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
}

/** How long to wait before try number `failures` + 1, in ms. */
export const backOffMs = (failures: number, options: BackOffOptions): number =>
  Math.ceil(options.random() * Math.min(options.maxMs, options.firstMs * 2 ** Math.min(failures, 16)));
