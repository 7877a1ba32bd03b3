/**
 * One question where many ask at the same moment: what is asked in one turn of the event loop is asked together, and
 * each gets the answer of its place. A failure is everybody's who asked in that turn.
 */
export function gather<Item, Answer>(
  askAll: (items: readonly Item[]) => Promise<readonly Answer[]>,
): (item: Item) => Promise<Answer> {
  let items: Item[] = [];
  let answers: Promise<readonly Answer[]> | undefined;

  async function askTogether(): Promise<readonly Answer[]> {
    await new Promise(setImmediate);
    const asked = items;
    items = [];
    answers = undefined;
    return askAll(asked);
  }

  return async (item) => {
    const place = items.push(item) - 1;
    answers ??= askTogether();
    return (await answers)[place]!;
  };
}
