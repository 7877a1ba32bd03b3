/** Items of one call: enough to save round trips, few enough not to hold up the others. */
const ITEMS_MAX = 256;

interface Asked<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends what is asked of one key in the same turn of the event loop in one call: at night each of a thousand
 * connections asks for one person. `send` gives an answer for each item, in their order.
 */
export function createGatherer<Item, Answer>(
  send: (key: string, items: readonly Item[]) => Promise<readonly Answer[]>,
): (key: string, item: Item) => Promise<Answer> {
  const gathered = new Map<string, Asked<Item, Answer>[]>();

  async function sendSome(key: string, asked: readonly Asked<Item, Answer>[]): Promise<void> {
    try {
      const answers = await send(
        key,
        asked.map(({ item }) => item),
      );
      for (const [index, { resolve }] of asked.entries()) resolve(answers[index]!);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  function sendAll(): void {
    for (const [key, asked] of gathered)
      for (let from = 0; from < asked.length; from += ITEMS_MAX)
        void sendSome(key, asked.slice(from, from + ITEMS_MAX));
    gathered.clear();
  }

  return (key, item) =>
    new Promise((resolve, reject) => {
      if (gathered.size === 0) setImmediate(sendAll);
      const asked = gathered.get(key);
      if (asked) asked.push({ item, resolve, reject });
      else gathered.set(key, [{ item, resolve, reject }]);
    });
}
