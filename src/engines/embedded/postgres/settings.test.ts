import { describe, expect, it } from 'vitest';
import { SETTINGS, sharedBuffersMib } from './settings.ts';

const MIB = 2 ** 20;

describe("the embedded server's settings", () => {
  it('take a quarter of the memory, within bounds', () => {
    const cases = [
      [64 * MIB, 128],
      [512 * MIB, 128],
      [2_048 * MIB, 512],
      [2_051 * MIB, 512],
      [16_384 * MIB, 4_096],
      [1_048_576 * MIB, 4_096],
    ];
    for (const [bytes, mib] of cases) expect(sharedBuffersMib(bytes!)).toBe(mib);
    expect(SETTINGS.shared_buffers).toMatch(/^[1-9]\d{2,3}MB$/);
  });

  it('never trade durability for speed', () => {
    expect(SETTINGS).toMatchObject({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' });
  });
});
