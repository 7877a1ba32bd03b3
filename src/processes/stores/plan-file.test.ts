import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ShardPlan } from '../../engines/postgres/shard-map/index.ts';
import { RetryableFault } from '../../protocol/failures.ts';
import { rememberedPlan } from './plan-file.ts';

const plan: ShardPlan = {
  buckets: 4,
  shards: [{ name: 's1', url: 'postgres://app:pw@one/gala', enrolled: true }],
  placement: new Map([
    [0, 's1'],
    [3, 's1'],
  ]),
  moves: [{ bucket: 3, source: 's1', target: 's2', epoch: 9_007_199_254_740_993n }],
};
const away = () => Promise.reject(new RetryableFault('control-unavailable', 'gone', 1));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hongbao-plan-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('is the plan that was read last, while control is gone, and its owner’s alone', async () => {
  const file = path.join(folder, 'data', 'plan');
  expect(await rememberedPlan(file, async () => plan)()).toEqual(plan);
  expect(await rememberedPlan(file, away)()).toEqual(plan);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('stands in for nothing but a fault, and not when there is none or it is garbled', async () => {
  const file = path.join(folder, 'plan');
  await expect(rememberedPlan(file, away)()).rejects.toThrow(RetryableFault);
  writeFileSync(file, '{"buckets":');
  await expect(rememberedPlan(file, away)()).rejects.toThrow(RetryableFault);
  const wrong = new Error('another number of buckets');
  await expect(rememberedPlan(file, () => Promise.reject(wrong))()).rejects.toBe(wrong);
  expect(await rememberedPlan(file, async () => undefined)()).toBeUndefined();
});
