export interface GatherOptions {
  /** Of one question. Default 1,000. */
  readonly itemsMax?: number;
  /** How many questions are under way at once; what comes meanwhile waits, and is asked together. Default: any number. */
  readonly atOnce?: number;
}

interface Asked<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One question where many ask at the same moment: what is asked in one turn of the event loop, or while as many
 * questions are under way as may be, is asked together, and each gets the answer of its place. A failure is everybody's
 * whose question it was.
 */
export function gather<Item, Answer>(
  askAll: (items: readonly Item[]) => Promise<readonly Answer[]>,
  { itemsMax = 1_000, atOnce = Number.POSITIVE_INFINITY }: GatherOptions = {},
): (item: Item) => Promise<Answer> {
  const waiting: Asked<Item, Answer>[] = [];
  let underWay = 0;
  let isDue = false;

  async function ask(): Promise<void> {
    isDue = false;
    const asked = waiting.splice(0, itemsMax);
    underWay += 1;
    askSoon();
    try {
      const answers = await askAll(asked.map(({ item }) => item));
      for (const [place, { resolve }] of asked.entries()) resolve(answers[place]!);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
    underWay -= 1;
    askSoon();
  }

  function askSoon(): void {
    if (isDue || waiting.length === 0 || underWay >= atOnce) return;
    isDue = true;
    setImmediate(ask);
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      askSoon();
    });
}
