import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ShardPlan } from '../../engines/postgres/shard-map/index.ts';
import { RetryableFault } from '../../protocol/failures.ts';

/** The plan of the shards as it was read last: a process can start, and find its shards, while control is gone. */
export function rememberedPlan(
  file: string,
  read: () => Promise<ShardPlan | undefined>,
): () => Promise<ShardPlan | undefined> {
  return async () => {
    try {
      const plan = await read();
      if (plan) keep(file, plan);
      return plan;
    } catch (error) {
      const remembered = error instanceof RetryableFault ? recall(file) : undefined;
      if (!remembered) throw error;
      return remembered;
    }
  };
}

/** Addresses hold passwords: readable by the owner only. */
function keep(file: string, plan: ShardPlan): void {
  const text = JSON.stringify({
    ...plan,
    placement: [...plan.placement],
    moves: plan.moves.map((move) => ({ ...move, epoch: String(move.epoch) })),
  });
  if (text === lastKept.get(file)) return;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.next`, text, { mode: 0o600 });
  renameSync(`${file}.next`, file);
  lastKept.set(file, text);
}
const lastKept = new Map<string, string>();

function recall(file: string): ShardPlan | undefined {
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8'));
    return {
      buckets: kept.buckets,
      shards: kept.shards,
      placement: new Map(kept.placement),
      moves: kept.moves.map((move: { epoch: string }) => ({ ...move, epoch: BigInt(move.epoch) })),
    };
  } catch {
    return undefined;
  }
}
