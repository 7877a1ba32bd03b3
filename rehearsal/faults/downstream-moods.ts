import { setTimeout as delay } from 'node:timers/promises';

/**
 * Each way in which a downstream misbehaves and hands a piece out in the end (the sandbox's behaviour.ts says what they
 * are). Only "reject" is left out: that ends in a dead letter, which waits for a person.
 */
export const MOODS = [
  'slow',
  'http-500',
  'http-500-but-done',
  'time-out-then-done',
  'time-out-not-done',
  'twice',
  'processing-for-ever',
  'processing-then-ok',
  'fail',
  'cut-before',
  'cut-after',
] as const;

export type Mood = (typeof MOODS)[number];

const LATE_MS = 200;

/** How the sandbox at `url` treats what it has not heard of yet, from now on. */
export async function tellDownstream(url: string, mode: Mood | 'ok'): Promise<void> {
  const response = await fetch(`${url}/behaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ mode, lateMs: LATE_MS }),
  });
  if (response.status !== 200)
    throw new Error(`the downstream was told "${mode}" and said ${response.status}`);
}

/** Changes the downstream's mood every `everyMs`, each once before any again; the first one before it resolves. */
export async function startMoods(options: {
  readonly url: string;
  readonly random: () => number;
  readonly everyMs: number;
}): Promise<{
  /** From then on it behaves, and ends what it was told never to end. Throws when it could not be told something. */
  stop(): Promise<void>;
}> {
  const { url, random } = options;
  const stopping = new AbortController();
  const pause = () => delay(options.everyMs, undefined, { signal: stopping.signal }).catch(() => {});
  let left: Mood[] = [];

  async function changeMood(): Promise<void> {
    if (left.length === 0) left = [...MOODS];
    const [mood] = left.splice(Math.floor(random() * left.length), 1);
    await tellDownstream(url, mood!);
  }

  async function change(): Promise<void> {
    for (await pause(); !stopping.signal.aborted; await pause()) await changeMood();
  }

  await changeMood();
  const changing = change();
  changing.catch(() => {});
  return {
    async stop() {
      stopping.abort();
      await changing;
      await tellDownstream(url, 'ok');
    },
  };
}
