import type { Signals } from '../ports.ts';

/** Control and its readers in one process. */
export function createLocalSignals(): Signals {
  const readers = new Set<(envelope: Uint8Array) => void>();
  let newest: { sequence: number; envelope: Uint8Array } | undefined;
  return {
    name: 'process',
    async publish(envelope, sequence) {
      if (!newest || sequence > newest.sequence) newest = { sequence, envelope };
      for (const tell of readers) tell(envelope);
    },
    latest: async () => newest?.envelope,
    subscribe(onEnvelope) {
      readers.add(onEnvelope);
      return () => readers.delete(onEnvelope);
    },
    async close() {
      readers.clear();
    },
  };
}
