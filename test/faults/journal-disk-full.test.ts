import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { LogRecord } from '../../src/engines/ports.ts';
import { aBatch, peopleOf } from '../support/batches.ts';
import { quiet } from '../support/postgres.ts';

/** A disk of 3 MB; undefined where one may not mount (the injected disk of the journal's own tests stands in). */
function mountTiny(): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-tiny-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

const disk = mountTiny();
afterAll(() => {
  if (!disk) return;
  execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true });
});

describe.runIf(disk)('a journal on a real disk of 3 MB', () => {
  const ballast = path.join(disk ?? '', 'ballast');

  it.each([64 << 20, 20_000])(
    'refuses when it is full, loses nothing, and goes on by itself when there is room (segments of %i bytes)',
    async (segmentBytesMax) => {
      const folder = path.join(disk!, `journal-${segmentBytesMax}`);
      mkdirSync(folder);
      writeFileSync(ballast, Buffer.alloc(2_500_000));
      const open = async () => {
        const told: LogRecord[] = [];
        const onRecord = (record: LogRecord) => told.push(record);
        const options = { folder, logger: quiet, segmentBytesMax, probeIntervalMs: 20 };
        return { log: await openJournal({ ...options, onRecord }), told };
      };
      const { log } = await open();
      const kept: number[] = [];
      let asked = 0;
      const appendNext = async () => {
        asked += 1;
        const person = asked;
        await log.append(aBatch([person]));
        kept.push(person);
      };
      const appendForEver = async () => {
        for (;;) await appendNext();
      };
      await expect(appendForEver()).rejects.toMatchObject({ kind: 'log-unavailable' });
      expect(log.health()).toMatchObject({ accepting: false });
      await expect(appendNext()).rejects.toMatchObject({ kind: 'log-unavailable' });

      rmSync(ballast);
      await vi.waitFor(() => expect(log.health()).toEqual({ accepting: true }));
      await appendNext();
      expect(log.end()).toBe(kept.length);
      await log.close();

      const again = await open();
      expect(peopleOf(again.told)).toEqual(kept);
      expect(kept.length).toBe(asked - 2);
      await again.log.close();
      rmSync(folder, { recursive: true });
    },
  );
});
