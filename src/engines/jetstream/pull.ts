import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, ConsumerMessages } from '@nats-io/jetstream';
import { isNoConsumer } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { BucketNames } from './names.ts';
import { ForeignRecord } from './records.ts';

export interface PullOptions {
  readonly link: NatsLink;
  readonly names: BucketNames;
  readonly consumer: string;
  readonly deliveries: Deliveries;
  /** The consumer is no longer there. */
  readonly onGone: (reason: string) => void;
}

const FETCH_MAX = 128;
const FETCH_MS = 10_000;
/** Two that are missed end a fetch: the consumer's leader is gone, and the next fetch finds its successor. */
const HEARTBEAT_MS = 1_000;
const PAUSE_MS = 100;

/**
 * Asks for messages again and again, each time anew: a request that a dying server has swallowed costs two
 * heartbeats, and a consumer that is gone is noticed. Ends by itself when it is.
 */
export function pullInto(options: PullOptions): { stop(): Promise<void> } {
  const { link, names, deliveries } = options;
  const stopping = new AbortController();
  let fetching: ConsumerMessages | undefined;

  async function run(): Promise<void> {
    let consumer: Consumer | undefined;
    while (!stopping.signal.aborted) {
      try {
        consumer ??= await link.js.consumers.get(names.stream, options.consumer);
        await fetchSome(consumer);
      } catch (error) {
        if (error instanceof ForeignRecord) return halt(error);
        if (await isGone(error)) return;
        await delay(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
  }

  async function fetchSome(consumer: Consumer): Promise<void> {
    fetching = await consumer.fetch({
      max_messages: FETCH_MAX,
      expires: FETCH_MS,
      idle_heartbeat: HEARTBEAT_MS,
    });
    if (stopping.signal.aborted) return;
    for await (const message of fetching) {
      if (stopping.signal.aborted) return;
      deliveries.accept(message);
    }
  }

  /** After a fault: is the consumer still there, and what was it that it sent and did not arrive? */
  async function isGone(fault: unknown): Promise<boolean> {
    if (stopping.signal.aborted) return true;
    try {
      const info = await link.jsm.consumers.info(names.stream, options.consumer);
      deliveries.reach(info.delivered.stream_seq);
      link.logger.debug({ stream: names.stream, reason: (fault as Error).message }, 'a fetch ended early');
      return false;
    } catch (error) {
      if (!isNoConsumer(error)) return false;
      options.onGone('its consumer is gone: somebody else has taken it');
      return true;
    }
  }

  /** Reading it goes through `read`, which fails on it too, and whoever credits stops. */
  function halt(error: ForeignRecord): void {
    link.logger.fatal({ stream: names.stream, reason: error.message }, 'a stream holds what is no record');
    deliveries.reach(deliveries.last() + 1);
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      fetching?.stop();
      await running;
    },
  };
}
