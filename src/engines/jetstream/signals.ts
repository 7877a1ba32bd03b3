import { StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { Signals } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { openLastingKv } from './lasting-kv.ts';

const KEY = 'announcement';
const SEQUENCE_BYTES = 8;
const LOOK_MS = 5_000;

export interface NatsSignalsOptions {
  readonly link: NatsLink;
  readonly space: string;
  readonly replicas: number;
}

/**
 * Signals by NATS: the newest envelope stands in a KV bucket, whose watchers are told of each. `close` leaves the
 * connection open, which is the caller's. The sequence stands before the envelope, so that an old one is not put over
 * a new one.
 */
export async function openNatsSignals({ link, space, replicas }: NatsSignalsOptions): Promise<Signals> {
  const bucket = `${space}-announcement`;
  const inKv = await openLastingKv(link, bucket, () =>
    new Kvm(link.js).create(bucket, {
      description: 'what control announced last',
      history: 1,
      replicas,
      storage: StorageType.File,
    }),
  );
  const endings = new Set<() => void>();

  /** Gives back how to end it. */
  async function watch(onEnvelope: (envelope: Uint8Array) => void): Promise<() => void> {
    const entries = await inKv((kv) => kv.watch({ key: KEY }));
    void (async () => {
      for await (const entry of entries)
        if (entry.operation === 'PUT') onEnvelope(entry.value.subarray(SEQUENCE_BYTES));
    })().catch(sayDeaf);
    return () => entries.stop();
  }

  async function latest(): Promise<Uint8Array | undefined> {
    const entry = await inKv((kv) => kv.get(KEY));
    return entry?.value.subarray(SEQUENCE_BYTES);
  }

  const sayDeaf = (error: Error): void =>
    link.logger.warn({ reason: error.message }, 'announcements can’t be heard by NATS; other ways go on');

  /** A watch on a KV bucket that was lost hears nothing of the one that was made in its place. */
  function listen(onEnvelope: (envelope: Uint8Array) => void): () => void {
    let endWatch: (() => void) | undefined;
    let watching = false;
    let over = false;

    async function watchAnew(): Promise<void> {
      if (watching) return;
      watching = true;
      try {
        endWatch = await watch(onEnvelope);
        if (over) endWatch();
      } finally {
        watching = false;
      }
    }

    async function look(): Promise<void> {
      try {
        const newest = await latest();
        if (over) return;
        if (!endWatch) await watchAnew();
        if (newest) onEnvelope(newest);
      } catch {
        endWatch?.();
        endWatch = undefined;
      }
    }

    void watchAnew().catch(sayDeaf);
    const timer = setInterval(look, LOOK_MS);
    timer.unref();
    return () => {
      over = true;
      clearInterval(timer);
      endWatch?.();
    };
  }

  return {
    name: 'nats',
    async publish(envelope, sequence) {
      const entry = await inKv((kv) => kv.get(KEY));
      if (entry && sequenceOf(entry.value) >= sequence) return;
      const value = Buffer.alloc(SEQUENCE_BYTES + envelope.length);
      value.writeBigUInt64BE(BigInt(sequence));
      value.set(envelope, SEQUENCE_BYTES);
      // Somebody who was faster has put a newer one, or will be told the same again.
      await inKv((kv) => kv.put(KEY, value, { previousSeq: entry?.revision ?? 0 })).catch((error: Error) => {
        link.logger.debug({ reason: error.message }, 'another control was faster');
      });
    },
    latest,
    subscribe(onEnvelope) {
      const end = listen(onEnvelope);
      endings.add(end);
      return () => {
        end();
        endings.delete(end);
      };
    },
    async close() {
      for (const end of endings) end();
      endings.clear();
    },
  };
}

const sequenceOf = (value: Uint8Array): number =>
  Number(Buffer.from(value.subarray(0, SEQUENCE_BYTES)).readBigUInt64BE());
