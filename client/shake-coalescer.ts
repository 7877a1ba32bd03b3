/** How often to ask, as the server says it (proto: Throttle). */
export interface Throttle {
  readonly level: number;
  readonly intervalMs: number;
  readonly jitterMs: number;
  readonly localPermille: number;
}

export const CALM_THROTTLE: Throttle = { level: 0, intervalMs: 5_000, jitterMs: 5_000, localPermille: 0 };
const LEVEL_MAX = 3;

/**
 * Turns ten shakes a second into one request per interval (seed 2015): the first goes out at once, those in between
 * are answered on the phone and counted into the next request. Pure: the clock and chance are handed in.
 */
export class ShakeCoalescer {
  private throttle = CALM_THROTTLE;
  private nextAtMs = 0;
  private gathered = 0;
  private asked = false;

  constructor(private readonly random: () => number) {}

  /** What to do with a shake now: `ask` the server, with how many shakes stand behind it, or answer it here. */
  shake(nowMs: number): { readonly ask: true; readonly shakes: number } | { readonly ask: false } {
    this.gathered += 1;
    if (nowMs < this.nextAtMs) return { ask: false };
    this.nextAtMs = nowMs + this.throttle.intervalMs + this.random() * this.throttle.jitterMs;
    // The very first shake of a person is always asked: a page that never answers looks broken.
    const isFirst = !this.asked;
    if (!isFirst && this.random() * 1_000 < this.throttle.localPermille) return { ask: false };
    this.asked = true;
    const shakes = this.gathered;
    this.gathered = 0;
    return { ask: true, shakes };
  }

  /** When a shake would be asked of the server again. */
  get askableAtMs(): number {
    return this.nextAtMs;
  }

  obey(throttle: Throttle): void {
    this.throttle = throttle;
  }

  /** A time-out, an error or a refusal for load: a level slower until the server says otherwise. */
  slowDown(nowMs: number): void {
    const level = Math.min(LEVEL_MAX, this.throttle.level + 1);
    if (level !== this.throttle.level) {
      this.throttle = {
        level,
        intervalMs: this.throttle.intervalMs * 2,
        jitterMs: this.throttle.jitterMs * 2,
        localPermille: Math.min(800, this.throttle.localPermille + 200),
      };
    }
    this.nextAtMs = Math.max(this.nextAtMs, nowMs + this.throttle.intervalMs * this.random());
  }
}
