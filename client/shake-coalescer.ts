/** How often to ask, as the server says it (proto: Throttle). */
export interface Throttle {
  readonly level: number;
  /** At least so long between two requests … */
  readonly intervalMs: number;
  /** … and up to so much longer, at random. */
  readonly jitterMs: number;
  /** Share of due requests that the phone answers itself, of 1,000. */
  readonly localPermille: number;
}

export const CALM_THROTTLE: Throttle = { level: 0, intervalMs: 5_000, jitterMs: 5_000, localPermille: 0 };
const LEVEL_MAX = 3;
const LOCAL_PERMILLE_MAX = 800;

/**
 * Turns ten shakes a second into one request per interval (seed 2015): the first goes out at once, those in between
 * are answered on the phone and counted into the next request. Pure: the clock and chance are handed in.
 *
 * Two things set the pace: what the server said last, and the phone's own caution after requests that failed for
 * load. Caution doubles the pause step by step and is forgotten at the first answer.
 */
export class ShakeCoalescer {
  private said = CALM_THROTTLE;
  private caution = 0;
  private askedAtMs: number | undefined;
  private nextAtMs = Number.NEGATIVE_INFINITY;
  private gathered = 0;

  constructor(private readonly random: () => number) {}

  /** What to do with a shake now: `ask` the server, with how many shakes stand behind it, or answer it here. */
  shake(nowMs: number): { readonly ask: true; readonly shakes: number } | { readonly ask: false } {
    this.gathered += 1;
    if (nowMs < this.nextAtMs) return { ask: false };
    // The very first shake of a person is always asked: a page that never answers looks broken.
    const isFirst = this.askedAtMs === undefined;
    this.askedAtMs = nowMs;
    this.plan();
    if (!isFirst && this.random() * 1_000 < this.throttle.localPermille) return { ask: false };
    const shakes = this.gathered;
    this.gathered = 0;
    return { ask: true, shakes };
  }

  /** The pace in force: the server's, slowed by our own caution. */
  get throttle(): Throttle {
    const { said, caution } = this;
    if (caution === 0) return said;
    return {
      level: said.level + caution,
      intervalMs: said.intervalMs * 2 ** caution,
      jitterMs: said.jitterMs * 2 ** caution,
      localPermille: Math.max(
        said.localPermille,
        Math.min(LOCAL_PERMILLE_MAX, said.localPermille + 200 * caution),
      ),
    };
  }

  /** The server's word is in force at once, for the pause that has begun too. */
  obey(throttle: Throttle): void {
    this.said = throttle;
    this.caution = Math.min(this.caution, Math.max(0, LEVEL_MAX - throttle.level));
    this.plan();
  }

  /** A time-out, a lost connection or a refusal for load. */
  slowDown(): void {
    if (this.said.level + this.caution >= LEVEL_MAX) return;
    this.caution += 1;
    this.plan();
  }

  /** The server answered: back to the pace that it asked for. */
  answered(): void {
    if (this.caution === 0) return;
    this.caution = 0;
    this.plan();
  }

  private plan(): void {
    if (this.askedAtMs === undefined) return;
    const { intervalMs, jitterMs } = this.throttle;
    this.nextAtMs = this.askedAtMs + intervalMs + this.random() * jitterMs;
  }
}
