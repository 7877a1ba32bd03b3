import { StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { Signals } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { openLastingKv } from './lasting-kv.ts';

const KEY = 'announcement';
const SEQUENCE_BYTES = 8;

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

  async function watch(onEnvelope: (envelope: Uint8Array) => void, isOver: () => boolean): Promise<void> {
    const entries = await inKv((kv) => kv.watch({ key: KEY }));
    if (isOver()) return void entries.stop();
    endings.add(() => entries.stop());
    for await (const entry of entries)
      if (entry.operation === 'PUT') onEnvelope(entry.value.subarray(SEQUENCE_BYTES));
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
    async latest() {
      const entry = await inKv((kv) => kv.get(KEY));
      return entry?.value.subarray(SEQUENCE_BYTES);
    },
    subscribe(onEnvelope) {
      let over = false;
      void watch(onEnvelope, () => over).catch((error: Error) =>
        link.logger.warn({ reason: error.message }, 'announcements can’t be heard by NATS; other ways go on'),
      );
      return () => {
        over = true;
        for (const end of endings) end();
        endings.clear();
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
