import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { aBatch } from '../../../test/support/batches.ts';
import { quiet } from '../../../test/support/postgres.ts';
import { openJournal } from '../../engines/embedded/journal/index.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import { switchable } from './switchable-log.ts';

it('a log that is switched off takes nothing and says no end; fences and lookups go on', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-switchable-'));
  const journal = await openJournal({ folder, logger: quiet });
  const { logs, setOff } = switchable([journal]);
  const log = logs[0]!;
  expect([await log.append(aBatch([1])), await log.endNow()]).toEqual([1, 1]);
  setOff(true);
  await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
  await expect(log.endNow()).rejects.toMatchObject({ kind: 'log-unavailable' });
  expect(log.health().accepting).toBe(false);
  expect(await log.appendFence({ sliceId: 1n as SliceId, epoch: 1 })).toBe(2);
  expect(await log.at(2)).toMatchObject({ kind: 'fence' });
  setOff(false);
  expect([await log.endNow(), await log.append(aBatch([2]))]).toEqual([2, 3]);
  await journal.close();
  rmSync(folder, { recursive: true, force: true });
});
