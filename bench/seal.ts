import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pino from 'pino';
import { openJournal } from '../src/engines/embedded/journal/index.ts';
import type { GrantLog } from '../src/engines/ports.ts';
import { type Keyring, openKeyring } from '../src/stations/4-seal/keyring.ts';
import { createSealingLine } from '../src/stations/4-seal/sealing-line.ts';
import type { Clock } from '../src/vocabulary/instant.ts';
import { batchOf } from '../test/support/batches.ts';
import { anOrder } from '../test/support/orders.ts';
import { twoPlaces } from './figures.ts';

export interface SealFigures {
  /** Orders promised a second (sealed, appended, fsynced, answered), micro-batches of 64. */
  readonly tokensPerSecond: number;
  /** The same with a signature for each token. */
  readonly singleSignatureTokensPerSecond: number;
  /** The same orders through the journal alone, 64 a record, sealed beforehand. */
  readonly journalOrdersPerSecond: number;
  readonly sealOverSingleSignature: number;
}

const RUN_MS = 2_000;
const WARM_MS = 700;
/** How many people wait for their answer at once. */
const PEOPLE = 4_096;
const BATCH_ORDERS = 64;

/** `one` again and again by so many at once; how many a second were done. */
async function ratePerSecond(atOnce: number, forMs: number, one: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let done = 0;
  const repeat = async () => {
    while (performance.now() - start < forMs) {
      await one();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, repeat));
  return (done / (performance.now() - start)) * 1_000;
}

async function warmRate(atOnce: number, one: () => Promise<unknown>): Promise<number> {
  await ratePerSecond(atOnce, WARM_MS, one);
  return ratePerSecond(atOnce, RUN_MS, one);
}

const orders = Array.from({ length: 1_000 }, (_, person) => anOrder({ person, fen: 137 }));

/** Orders promised a second in this log: sealed, appended, answered. */
export function promiseRate(log: GrantLog, keyring: Keyring, batchOrdersMax = BATCH_ORDERS): Promise<number> {
  const line = createSealingLine({
    keyring,
    nowMs: Date.now,
    log,
    onAppended: async () => {},
    batchOrdersMax,
  });
  let next = 0;
  return warmRate(PEOPLE, () => {
    next += 1;
    return line.promise(orders[next % orders.length]!);
  });
}

async function journalRate(log: GrantLog): Promise<number> {
  const batch = batchOf(orders.slice(0, BATCH_ORDERS));
  return (await warmRate(PEOPLE / BATCH_ORDERS, () => log.append(batch))) * BATCH_ORDERS;
}

/** One process, one core, a journal in the temporary folder, fsync on. */
export async function benchSeal(): Promise<SealFigures> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-bench-seal-'));
  const clock: Clock = { now: () => orders[0]!.drawnAtMs, monotonicMs: () => 0 };
  const keyring = openKeyring(path.join(folder, 'keys'), clock);
  const log = await openJournal({ folder: path.join(folder, 'journal'), logger: pino({ level: 'silent' }) });
  try {
    const singleSignatureTokensPerSecond = await promiseRate(log, keyring, 1);
    const tokensPerSecond = await promiseRate(log, keyring, BATCH_ORDERS);
    return {
      tokensPerSecond: Math.round(tokensPerSecond),
      singleSignatureTokensPerSecond: Math.round(singleSignatureTokensPerSecond),
      journalOrdersPerSecond: Math.round(await journalRate(log)),
      sealOverSingleSignature: twoPlaces(tokensPerSecond / singleSignatureTokensPerSecond),
    };
  } finally {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
