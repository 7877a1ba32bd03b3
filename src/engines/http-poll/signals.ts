import type { Signals } from '../ports.ts';

export interface HttpPollOptions {
  /** Where a control process serves its newest envelope (GET; ETag; 304 when nothing is new). */
  readonly url: string;
  /** What the reader shows to be let in. */
  readonly bearer: string;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
}

const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 2_000;

/** Asks control again and again: the way that needs nothing but HTTP. Constant work, whatever there is to tell. */
export function createHttpPollSignals(options: HttpPollOptions): Signals {
  const readers = new Set<(envelope: Uint8Array) => void>();
  let etag = '';
  let timer: NodeJS.Timeout | undefined;

  /** Undefined: nothing new, nothing there, or nobody answers; the next look is soon. */
  async function look(knownEtag: string): Promise<Uint8Array | undefined> {
    try {
      const answer = await fetch(options.url, {
        headers: { authorization: `Bearer ${options.bearer}`, 'if-none-match': knownEtag },
        redirect: 'error',
        signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      });
      if (answer.status !== 200) {
        await answer.body?.cancel();
        return undefined;
      }
      etag = answer.headers.get('etag') ?? '';
      return new Uint8Array(await answer.arrayBuffer());
    } catch {
      return undefined;
    }
  }

  async function poll(): Promise<void> {
    const envelope = await look(etag);
    if (envelope) for (const tell of readers) tell(envelope);
    if (readers.size > 0) timer = setTimeout(poll, options.intervalMs ?? INTERVAL_MS);
  }

  return {
    name: 'http',
    // Control serves what stands in its database; there is nothing to push.
    publish: async () => {},
    latest: () => look(''),
    subscribe(onEnvelope) {
      readers.add(onEnvelope);
      if (readers.size === 1) timer = setTimeout(poll, 0);
      return () => {
        readers.delete(onEnvelope);
        if (readers.size === 0) clearTimeout(timer);
      };
    },
    async close() {
      readers.clear();
      clearTimeout(timer);
    },
  };
}
