import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { quiet } from '../../../test/support/postgres.ts';
import { instanceId } from './instance-id.ts';
import { openUncounted } from './uncounted.ts';

describe('what of a journal the total does not count', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-uncounted-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is remembered over a restart, whole records and leaves, and a leaf that was taken back counts', async () => {
    const first = openUncounted(folder, quiet);
    first.note(4);
    first.note(7, [0, 2]);
    first.note(9, []);
    first.counts(4, 1);
    await first.close();
    appendFileSync(path.join(folder, 'uncounted'), '12');
    const again = openUncounted(folder, quiet);
    const places = [4, 7, 9].map((sequence) => [0, 1, 2].map((leaf) => again.has(sequence, leaf)));
    expect(places).toEqual([
      [true, false, true],
      [true, false, true],
      [false, false, false],
    ]);
    expect(again.isOpen(4, 0)).toBe(false);
    again.note(5);
    expect(again.isOpen(5, 3)).toBe(true);
    await again.close();
    expect(openUncounted(folder, quiet).has(5, 3)).toBe(true);
  });

  it('stands beside who the instance is, which stays the same', () => {
    const first = instanceId(folder);
    expect(first).toMatch(/^[\w-]{11}$/);
    expect(instanceId(folder)).toBe(first);
    expect(instanceId(path.join(folder, 'another'))).not.toBe(first);
  });
});
