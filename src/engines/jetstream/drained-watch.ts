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

const ANSWER_MS_MAX = 1_000;

/**
 * Those who wait until the bucket's owner has credited up to a record. The owner says aloud that it has moved (core
 * NATS, which may lose it), and how far it has come when it is asked; while there is none, the acknowledgement floors of
 * the consumers say that. Both are true, and either may be silent: a consumer whose servers have lost count stands still.
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
    await Promise.all([hear(ownersWord()), hear(ownerConsumers(link, names.stream).then(highestFloor))]);
    looking = false;
    if (waiting.size === 0) return rest();
    timer = setTimeout(look, lookAgain ? 0 : LOOK_MS);
    timer.unref();
  }

  /** Each as it comes: nobody waits for the one that is silent. */
  async function hear(word: Promise<LogSequence>): Promise<void> {
    try {
      floor = Math.max(floor, await word);
      for (const one of waiting) if (one.sequence <= floor) one.reached();
    } catch (error) {
      link.logger.debug(
        { stream: names.stream, reason: (error as Error).message },
        'not known now how far a bucket is credited',
      );
    }
  }

  async function ownersWord(): Promise<LogSequence> {
    const answer = await link.nc.request(names.howFarSubject, undefined, { timeout: ANSWER_MS_MAX });
    return Number(answer.string());
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
