export interface PlannedMove {
  readonly bucket: number;
  readonly target: string;
}

/**
 * The fewest moves after which no shard has more than one bucket more than another. `pending` are moves that are under
 * way: they count as done, and their buckets stay where they go. Shards that joined first keep the odd ones.
 */
export function planMoves(
  shards: readonly string[],
  placement: ReadonlyMap<number, string>,
  pending: readonly PlannedMove[],
): PlannedMove[] {
  const settled = new Set(pending.map((move) => move.bucket));
  const lies = new Map([...placement, ...pending.map(({ bucket, target }) => [bucket, target] as const)]);
  const held = new Map(shards.map((shard) => [shard, [] as number[]]));
  for (const [bucket, shard] of lies) held.get(shard)!.push(bucket);

  const fair = Math.floor(lies.size / shards.length);
  const odd = lies.size % shards.length;
  // The odd ones stay where most lie, so that nothing moves for their sake.
  const byCount = [...shards].sort((a, b) => held.get(b)!.length - held.get(a)!.length);
  const due = new Map(byCount.map((shard, at) => [shard, fair + (at < odd ? 1 : 0)]));

  const free = byCount.flatMap((shard) => {
    const movable = held.get(shard)!.filter((bucket) => !settled.has(bucket));
    const surplus = Math.max(0, held.get(shard)!.length - due.get(shard)!);
    return surplus === 0 ? [] : movable.sort((a, b) => a - b).slice(-surplus);
  });
  return byCount.flatMap((target) => {
    const missing = Math.max(0, due.get(target)! - held.get(target)!.length);
    return free.splice(0, missing).map((bucket) => ({ bucket, target }));
  });
}
