import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { GrantLog, LogRecord } from '../../src/engines/ports.ts';
import { quiet } from '../support/postgres.ts';
import { grantLogContract } from './grant-log.contract.ts';

const journal = (segmentBytesMax: number) => async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-journal-'));
  return {
    open: (onRecord: (record: LogRecord) => void = () => {}) =>
      openJournal({ folder, logger: quiet, segmentBytesMax, onRecord }),
    beside: (open: GrantLog) => open,
    destroy: async () => rmSync(folder, { recursive: true, force: true }),
  };
};

grantLogContract('the journal', journal(64 << 20));
grantLogContract('the journal with a segment a commit', journal(1));
