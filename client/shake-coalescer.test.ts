import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CALM_THROTTLE, ShakeCoalescer, type Throttle } from './shake-coalescer.ts';

const level = (number: number, intervalMs: number, localPermille = 0): Throttle => ({
  level: number,
  intervalMs,
  jitterMs: 0,
  localPermille,
});
/** Always this draw: 0 is the shortest pause, and "answer it here" wherever there is a share. */
const drawing = (draw: number) => new ShakeCoalescer(() => draw);

describe('what becomes of a shake', () => {
  it('asks at the first, and carries those in between with the next request', () => {
    const coalescer = drawing(0);
    expect(coalescer.shake(0)).toEqual({ ask: true, shakes: 1 });
    for (let at = 100; at < 5_000; at += 100) expect(coalescer.shake(at)).toEqual({ ask: false });
    expect(coalescer.shake(5_000)).toEqual({ ask: true, shakes: 50 });
  });

  it('asks at the first also when the clock reads less than nothing', () => {
    expect(drawing(0.5).shake(-1)).toEqual({ ask: true, shakes: 1 });
  });

  it('pauses five to ten seconds, by chance', () => {
    for (const [draw, nextMs] of [
      [0, 5_000],
      [0.5, 7_500],
      [0.999, 9_995],
    ] as const) {
      const coalescer = drawing(draw);
      coalescer.shake(0);
      expect(coalescer.shake(nextMs - 1).ask).toBe(false);
      expect(coalescer.shake(nextMs).ask).toBe(true);
    }
  });

  it('answers the share that the server wants answered here, but never the first', () => {
    const coalescer = drawing(0.4);
    coalescer.obey(level(2, 1_000, 500));
    expect(coalescer.shake(0).ask).toBe(true);
    expect(coalescer.shake(1_000).ask).toBe(false);
    coalescer.obey(level(2, 1_000, 400));
    expect(coalescer.shake(2_000)).toEqual({ ask: true, shakes: 2 });
  });

  it('never asks twice within the interval, whatever the shakes, and loses no shake', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (gaps, draw) => {
          const coalescer = drawing(draw);
          let nowMs = 0;
          let carried = 0;
          let lastAskMs = Number.NEGATIVE_INFINITY;
          for (const gap of gaps) {
            nowMs += gap;
            const turn = coalescer.shake(nowMs);
            if (!turn.ask) continue;
            expect(nowMs - lastAskMs).toBeGreaterThanOrEqual(CALM_THROTTLE.intervalMs);
            lastAskMs = nowMs;
            carried += turn.shakes;
          }
          expect(carried).toBeLessThanOrEqual(gaps.length);
        },
      ),
    );
  });
});

describe('the pace', () => {
  it('is the server’s, at once, slower and faster, for the pause that has begun too', () => {
    const coalescer = drawing(0);
    coalescer.shake(0);
    coalescer.obey(level(3, 40_000));
    expect(coalescer.shake(39_999).ask).toBe(false);
    coalescer.obey(level(0, 5_000));
    expect(coalescer.shake(39_999).ask).toBe(true);
  });

  it('doubles with each failure for load, up to level 3', () => {
    const coalescer = drawing(0);
    const intervals = Array.from({ length: 5 }, () => {
      coalescer.slowDown();
      return [coalescer.throttle.level, coalescer.throttle.intervalMs, coalescer.throttle.localPermille];
    });
    expect(intervals).toEqual([
      [1, 10_000, 200],
      [2, 20_000, 400],
      [3, 40_000, 600],
      [3, 40_000, 600],
      [3, 40_000, 600],
    ]);
  });

  it('slows down no further where the server itself is at its slowest', () => {
    const coalescer = drawing(0);
    coalescer.obey(level(3, 40_000, 800));
    coalescer.slowDown();
    expect(coalescer.throttle).toEqual(level(3, 40_000, 800));
  });

  it('goes back to the server’s last level with the first answer, for the pause that has begun too', () => {
    const coalescer = drawing(0);
    coalescer.obey(level(1, 10_000));
    coalescer.slowDown();
    coalescer.slowDown();
    expect(coalescer.throttle.intervalMs).toBe(40_000);
    coalescer.shake(0);
    coalescer.answered();
    expect(coalescer.throttle).toEqual(level(1, 10_000));
    expect(coalescer.shake(9_999).ask).toBe(false);
    expect(coalescer.shake(10_000).ask).toBe(true);
  });

  it('keeps its caution while the server only repeats its level', () => {
    const coalescer = drawing(0);
    coalescer.slowDown();
    coalescer.obey(CALM_THROTTLE);
    expect(coalescer.throttle.intervalMs).toBe(10_000);
  });
});
