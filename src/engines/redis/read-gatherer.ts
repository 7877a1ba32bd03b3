import type { RedisClient } from './client.ts';

/** Fields of one HMGET: enough to save round trips, few enough not to hold up the others. */
const FIELDS_MAX = 256;

interface Asked {
  readonly field: Buffer;
  readonly resolve: (value: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads fields of hashes, those of one hash that are asked for in the same turn of the event loop in one call: at
 * night each of a thousand connections asks for one person.
 */
export function createReadGatherer(
  client: RedisClient,
): (key: string, field: Buffer) => Promise<Buffer | undefined> {
  const gathered = new Map<string, Asked[]>();

  async function read(key: string, asked: readonly Asked[]): Promise<void> {
    try {
      const values = (await client.command(
        'HMGET',
        key,
        ...asked.map(({ field }) => field),
      )) as (Buffer | null)[];
      for (const [index, { resolve }] of asked.entries()) resolve(values[index] ?? undefined);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  function readAll(): void {
    for (const [key, asked] of gathered)
      for (let from = 0; from < asked.length; from += FIELDS_MAX)
        void read(key, asked.slice(from, from + FIELDS_MAX));
    gathered.clear();
  }

  return (key, field) =>
    new Promise((resolve, reject) => {
      if (gathered.size === 0) setImmediate(readAll);
      const asked = gathered.get(key);
      if (asked) asked.push({ field, resolve, reject });
      else gathered.set(key, [{ field, resolve, reject }]);
    });
}
