import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { startCrowd } from '../../rehearsal/crowd/index.ts';
import { ERROR_KINDS } from '../../src/protocol/error-kinds.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';
import { NIGHT_CAMPAIGN, settleAndAudit } from '../support/night.ts';

/** A data folder whose journal is a disk of 6 MB; undefined where one may not mount. */
function mountJournal(): string | undefined {
  const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-full-'));
  const journal = path.join(dataFolder, 'journal');
  mkdirSync(journal);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', journal], { stdio: 'ignore' });
    return dataFolder;
  } catch {
    rmSync(dataFolder, { recursive: true });
    process.stderr.write(
      'disk full under the engine: left out, because only root may mount a small disk (the journal’s own tests inject one)\n',
    );
    return undefined;
  }
}

const dataFolder = mountJournal();
const WAIT = { timeout: 60_000, interval: 20 };

describe.runIf(dataFolder)('an engine whose disk is full', { timeout: 180_000 }, () => {
  const journal = path.join(dataFolder ?? '', 'journal');
  const ballast = path.join(journal, 'ballast');
  let engine: TestEngine | undefined;
  afterAll(async () => {
    await engine?.stop();
    if (!dataFolder) return;
    execFileSync('umount', [journal]);
    rmSync(dataFolder, { recursive: true });
  });

  it('refuses clearly, loses nothing that it has promised, and goes on by itself when there is room', async () => {
    const historyFile = path.join(dataFolder!, 'history.jsonl');
    engine = await startEngineForTest({ campaignFile: NIGHT_CAMPAIGN, dataFolder: dataFolder! });
    const { url } = engine;
    const crowd = startCrowd({ url, campaignId: 'kill', people: 30, seed: 4, historyFile, thinkMs: 25 });
    await vi.waitFor(() => expect(crowd.counts.won).toBeGreaterThan(10), WAIT);

    for (let times = 1; times <= 2; times += 1) {
      fill(ballast);
      // One by one the last bytes are taken; then nothing is accepted any more, and the door says why.
      await vi.waitFor(async () => {
        const ready = await fetch(`${url}/readyz`);
        expect(ready.status).toBe(503);
        expect(await ready.json()).toMatchObject({ reason: expect.stringContaining('free some space') });
      }, WAIT);
      const unavailable = () =>
        (crowd.refusals.get('log-unavailable') ?? 0) > 0 &&
        (crowd.refusals.get(String(ERROR_KINDS['log-unavailable'].wireCode)) ?? 0) > 0;
      await vi.waitFor(() => expect(unavailable()).toBe(true), WAIT);
      const { wallets } = crowd.counts;
      await vi.waitFor(() => expect(crowd.counts.wallets).toBeGreaterThan(wallets), WAIT);
      expect(engine.process.exitCode).toBeNull();

      rmSync(ballast);
      await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), WAIT);
      const { won } = crowd.counts;
      await vi.waitFor(() => expect(crowd.counts.won).toBeGreaterThan(won + 5), WAIT);
    }
    const { checked } = await settleAndAudit(engine, crowd, historyFile);
    expect(checked.orders).toBeGreaterThan(20);
  });
});

/** Leaves room for a few more appends, so that one of them is the one that fails. */
function fill(file: string): void {
  const { bavail, bsize } = statfsSync(path.dirname(file));
  writeFileSync(file, Buffer.alloc(Math.max(0, bavail - 1) * bsize));
}
