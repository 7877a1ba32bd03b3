/** Does all of them, at most so many at once, and gives the results in their order. `act` never rejects. */
export async function withinBounds<Item, Result>(
  items: readonly Item[],
  atOnceMax: number,
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const at = next;
      next += 1;
      results[at] = await act(items[at]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, worker));
  return results;
}
