import type { Logger } from 'pino';
import type { Signals } from '../ports.ts';
import type { RedisClient } from './client.ts';

export interface RedisSignalsOptions {
  readonly client: RedisClient;
  /** The name of our cluster: signals of other names are never heard (I7). */
  readonly space: string;
  readonly logger: Logger;
  /** How often a subscriber looks by itself, in ms: a message may get lost, the key does not. */
  readonly pollMs?: number;
}

/**
 * Signals by Redis: a key holds the newest envelope, a channel tells of it at once, and a subscriber looks at the key
 * now and then as well. `close` leaves the client open, which is the caller's.
 */
export function createRedisSignals(options: RedisSignalsOptions): Signals {
  const { client, logger, pollMs = 1_000 } = options;
  /** Key and channel in one. */
  const key = `{${options.space}}signals`;
  const endings = new Set<() => void>();

  async function latest(): Promise<Buffer | undefined> {
    return ((await client.command('HGET', key, 'envelope')) as Buffer | null) ?? undefined;
  }

  return {
    name: 'redis',
    async publish(envelope, sequence) {
      await client.invoke('publish', [key], [sequence, Buffer.from(envelope)]);
    },

    latest,

    subscribe(onEnvelope) {
      let last: Buffer | undefined;
      const take = (envelope: Buffer | undefined): void => {
        if (!envelope || last?.equals(envelope) || !endings.has(end)) return;
        last = envelope;
        onEnvelope(envelope);
      };
      const look = () =>
        void latest().then(take, (error: Error) =>
          logger.debug({ reason: error.message }, 'the newest signal could not be read from Redis'),
        );
      const stopListening = client.listen(key, take);
      const timer = setInterval(look, pollMs);
      timer.unref();
      const end = () => {
        endings.delete(end);
        clearInterval(timer);
        stopListening();
      };
      endings.add(end);
      look();
      return end;
    },

    async close() {
      for (const end of endings) end();
    },
  };
}
