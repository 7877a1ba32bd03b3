import { afterAll, beforeAll } from 'vitest';
import { createJetStreamLog } from '../../src/engines/jetstream/grant-log.ts';
import { openOwnedLog } from '../../src/engines/jetstream/owned-log.ts';
import { ensureStreams } from '../../src/engines/jetstream/streams.ts';
import type { GrantLog, LogReader, LogRecord } from '../../src/engines/ports.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { grantLogContract } from './grant-log.contract.ts';

let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(async () => {
  await nats.stop();
});

let spaces = 0;

/**
 * The contract speaks of one log that is written and read by one process. Here who appends and who reads are two, and
 * what was appended arrives a moment later: before anything is asked of the reader, what was appended is awaited.
 */
grantLogContract('JetStream', async () => {
  spaces += 1;
  const space = `contract-${spaces}`;
  const link = await nats.link();
  await ensureStreams(link, { space, buckets: 1, replicas: 1, bytesMax: 1 << 28 });
  let epoch = 0;

  const open = async (onRecord?: (record: LogRecord) => void): Promise<GrantLog & LogReader> => {
    epoch += 1;
    const log = createJetStreamLog({ link, space, bucket: 0, bootId: `boot-${epoch}`, replicas: 1 });
    const reader = await openOwnedLog({
      link,
      space,
      bucket: 0,
      epoch,
      confirm: async () => true,
      onLost: () => {},
    });
    let appended = reader.end();
    const noted = async (appending: Promise<number>) => {
      const sequence = await appending;
      appended = Math.max(appended, sequence);
      return sequence;
    };
    const arrived = () => reader.beyond(appended - 1, new AbortController().signal);
    await arrived();
    for (const record of await reader.read(0, Number.POSITIVE_INFINITY)) onRecord?.(record);
    return {
      ...log,
      append: (batch) => noted(log.append(batch)),
      appendFence: (unit) => noted(log.appendFence(unit)),
      end: reader.end,
      drained: reader.drained,
      beyond: reader.beyond,
      async read(after, ordersMax) {
        await arrived();
        return reader.read(after, ordersMax);
      },
      async acknowledge(sequence) {
        await arrived();
        await reader.acknowledge(sequence);
      },
      async close() {
        await log.close();
        await reader.close();
      },
    };
  };
  const beside = () => createJetStreamLog({ link, space, bucket: 0, bootId: 'beside', replicas: 1 });
  return { open, beside, destroy: () => link.close() };
});
