import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFollowingClock, type FollowingClock } from './clock.ts';

const NEAR_MS = 200;
const HOUR_MS = 3_600_000;

describe('a clock that follows the database', () => {
  let databaseMs: () => Promise<number>;
  let clock: FollowingClock;
  const make = () => createFollowingClock(() => databaseMs(), pino({ level: 'silent' }));
  const wallMs = performance.timeOrigin + performance.now();

  beforeEach(() => {
    databaseMs = async () => Date.now();
  });
  afterEach(() => {
    clock.stop();
    vi.restoreAllMocks();
  });

  it('is not moved when this machine’s clock steps', () => {
    clock = make();
    const before = clock.now();
    vi.spyOn(Date, 'now').mockReturnValue(wallMs - HOUR_MS);
    expect(Math.abs(clock.now() - before)).toBeLessThan(NEAR_MS);
    expect(clock.now()).toBeGreaterThanOrEqual(before);
  });

  it('is set after the database, in either direction', async () => {
    clock = make();
    for (const apartMs of [HOUR_MS, -HOUR_MS]) {
      const wantedMs = performance.timeOrigin + performance.now() + apartMs;
      databaseMs = async () => wantedMs;
      await clock.follow();
      // Within half a round trip, and what passed since.
      expect(Math.abs(clock.now() - wantedMs)).toBeLessThan(1_000);
    }
  });

  it('stays as it is when the database is away, or only the network is slow', async () => {
    clock = make();
    const before = clock.now();
    databaseMs = () => Promise.reject(new Error('away'));
    await clock.follow();
    databaseMs = async () => clock.now() + 100;
    await clock.follow();
    expect(Math.abs(clock.now() - before)).toBeLessThan(1_000);
  });
});
