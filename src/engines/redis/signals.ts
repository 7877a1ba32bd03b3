import type { Logger } from 'pino';
import type { Signals } from '../ports.ts';
import type { RedisClient } from './client.ts';

export interface RedisSignalsOptions {
  readonly client: RedisClient;
  readonly logger: Logger;
  /** How often subscribers look by themselves, in ms: a message may get lost, the key does not. */
  readonly pollMs?: number;
  /** Signals of different installations on one cluster have different names. */
  readonly name?: string;
}

interface Numbered {
  readonly sequence: number;
  readonly envelope: Buffer;
}

/**
 * Signals by Redis: a key holds the newest envelope, a channel tells of it at once, and a subscriber looks at the key
 * now and then as well. Whoever subscribes is given the newest one first, then only newer ones. `close` leaves the
 * client open, which is the caller's.
 */
export function createRedisSignals(options: RedisSignalsOptions): Signals {
  const { client, logger, pollMs = 1_000 } = options;
  const key = `{hongbao}${options.name ?? 'signals'}`;
  const endings = new Set<() => void>();

  async function newest(): Promise<Numbered | undefined> {
    const reply = await client.command('HMGET', key, 'sequence', 'envelope');
    const [sequence, envelope] = reply as (Buffer | null)[];
    return sequence && envelope ? { sequence: Number(sequence.toString()), envelope } : undefined;
  }

  return {
    async publish(envelope, sequence) {
      await client.invoke('publish', [key], [String(sequence), Buffer.from(envelope)]);
    },

    latest: async () => (await newest())?.envelope,

    subscribe(onEnvelope) {
      let last = -1;
      const take = (one: Numbered | undefined): void => {
        if (!one || one.sequence <= last || !endings.has(end)) return;
        last = one.sequence;
        onEnvelope(one.envelope);
      };
      const look = () =>
        void newest().then(take, (error: Error) =>
          logger.debug({ reason: error.message }, 'the newest signal could not be read from Redis'),
        );
      const stopListening = client.listen(key, (message) => take(numbered(message)));
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

/** "sequence\n" and the envelope; undefined for anything else. */
function numbered(message: Buffer): Numbered | undefined {
  const end = message.indexOf(0x0a);
  const digits = message.subarray(0, Math.max(end, 0)).toString('latin1');
  return /^[0-9]{1,16}$/.test(digits)
    ? { sequence: Number(digits), envelope: message.subarray(end + 1) }
    : undefined;
}
