import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import type { LogRecord } from '../../src/engines/ports.ts';
import { peopleOf, upTo } from '../support/batches.ts';
import { seeded, testSeed } from '../support/orders.ts';
import { quiet } from '../support/postgres.ts';
import { bundleScript } from '../support/script.ts';

const ROUNDS = Number(process.env.HONGBAO_ROUNDS ?? 40);

/** Lets the writer append until it is killed after so many ms; the last sequence that it said was durable. */
async function appendUntilKilled(script: string, folder: string, killAfterMs: number): Promise<number> {
  const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child.stdout, 'data');
  setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  await once(child, 'close');
  return Math.max(...output.split('\n').slice(0, -1).map(Number));
}

it(`has every acknowledged record after a kill at any moment, ${ROUNDS} times over`, async () => {
  const random = seeded(testSeed('journal under SIGKILL'));
  const root = mkdtempSync(path.join(tmpdir(), 'hongbao-kill-'));
  const folder = path.join(root, 'journal');
  const script = path.join(root, 'writer.mjs');
  await bundleScript('journal-writer.ts', script);
  let acknowledged = 0;
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      acknowledged = Math.max(acknowledged, await appendUntilKilled(script, folder, random() * 25));
      const told: LogRecord[] = [];
      const log = await openJournal({ folder, logger: quiet, onRecord: (record) => told.push(record) });
      expect(log.end()).toBeGreaterThanOrEqual(acknowledged);
      expect(peopleOf(told)).toEqual(upTo(log.end()));
      await log.close();
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  expect(acknowledged).toBeGreaterThan(ROUNDS);
}, 120_000);
