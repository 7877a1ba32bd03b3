import type { Subscription } from '@nats-io/transport-node';
import { RetryableFault } from '../../protocol/failures.ts';
import type { LogSequence } from '../ports.ts';
import { highestFloor, ownerConsumers } from './ack-floor.ts';
import type { NatsLink } from './connection.ts';
import type { BucketNames } from './names.ts';

interface Waiting {
  readonly sequence: LogSequence;
  readonly reached: () => void;
  readonly givenUp: () => void;
}

/** Between two looks when the owner says nothing: it may be gone, or what it said was lost. */
const LOOK_MS = 1_000;

/**
 * Those who wait until the bucket's owner has credited up to a record. The owner says aloud that it has moved (core
 * NATS, which may lose it); what counts is the acknowledgement floor of its consumer.
 */
export function watchDrained(link: NatsLink, names: BucketNames) {
  const waiting = new Set<Waiting>();
  let floor: LogSequence = 0;
  let told: Subscription | undefined;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let lookAgain = false;

  async function look(): Promise<void> {
    if (looking) {
      lookAgain = true;
      return;
    }
    clearTimeout(timer);
    looking = true;
    lookAgain = false;
    try {
      floor = Math.max(floor, highestFloor(await ownerConsumers(link, names.stream)));
    } catch (error) {
      link.logger.debug({ stream: names.stream, reason: (error as Error).message }, 'no word of the owner');
    }
    looking = false;
    for (const one of waiting) if (one.sequence <= floor) one.reached();
    if (waiting.size === 0) return rest();
    timer = setTimeout(look, lookAgain ? 0 : LOOK_MS);
    timer.unref();
  }

  function rest(): void {
    clearTimeout(timer);
    told?.unsubscribe();
    told = undefined;
  }

  return {
    until(sequence: LogSequence, signal: AbortSignal): Promise<void> {
      if (sequence <= floor) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const end = (settle: () => void) => () => {
          waiting.delete(one);
          signal.removeEventListener('abort', one.givenUp);
          settle();
        };
        const one: Waiting = { sequence, reached: end(resolve), givenUp: end(() => reject(givenUp())) };
        if (signal.aborted) return reject(givenUp());
        signal.addEventListener('abort', one.givenUp, { once: true });
        waiting.add(one);
        told ??= link.nc.subscribe(names.drainedSubject, { callback: () => void look() });
        void look();
      });
    },
    close(): void {
      rest();
      for (const one of waiting) one.givenUp();
    },
  };
}

const givenUp = () => new RetryableFault('draining', 'the wait for crediting was given up', 1_000);
