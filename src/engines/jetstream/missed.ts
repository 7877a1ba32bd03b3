import type { NatsLink } from './connection.ts';
import { missedSubject } from './names.ts';

/** How a process that can't reach the book has it told what it misses: by the owner of the bucket, over core NATS. */
export interface MissedWord {
  /** Resolves when the owner has told the bucket; rejects when there is none, or it can't either. */
  tell(bucket: number): Promise<void>;
  /** The owner's part; gives back how to end it. */
  hear(bucket: number, tear: (bucket: number) => Promise<void>): () => void;
}

const ANSWER_MS_MAX = 1_000;
const DONE = Buffer.from('done');
const NOT_DONE = Buffer.from('not done');

export function createMissedWord(link: NatsLink, space: string): MissedWord {
  return {
    async tell(bucket) {
      if (link.downForMs() > 0) throw new Error('there is no connection to NATS');
      const answer = await link.nc.request(missedSubject(space, bucket), undefined, {
        timeout: ANSWER_MS_MAX,
      });
      if (!DONE.equals(answer.data)) throw new Error('the bucket’s owner can’t reach the book');
    },
    hear(bucket, tear) {
      // Many may ask within the time of one tear: it tells for all of them.
      let tearing: Promise<void> | undefined;
      const subscription = link.nc.subscribe(missedSubject(space, bucket), {
        callback(error, message) {
          if (error) return;
          tearing ??= tear(bucket).finally(() => {
            tearing = undefined;
          });
          tearing.then(
            () => message.respond(DONE),
            () => message.respond(NOT_DONE),
          );
        },
      });
      return () => subscription.unsubscribe();
    },
  };
}
