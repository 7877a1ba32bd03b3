import { deadline } from '@nats-io/transport-node';
import { RetryableFault } from '../../protocol/failures.ts';
import type { LogSequence } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { quorumFault } from './stream-health.ts';
import { infoOf } from './streams.ts';

const DEADLINE_MS = 1_000;
const FAULT_DELAY_MS = 500;
/** So many questions are under way at once: servers that are slow are not asked the more for it. */
const AT_ONCE = 4;

/**
 * Where a stream ends, asked of its leader after the call. A leader that does not hear its followers may have been
 * followed by another, which takes appends that the old one never sees: what it says does not count. Nor does an
 * answer that leaves out what the stream has acknowledged to this process (`confirmed`) before it was asked.
 */
export function createEndNow(
  link: NatsLink,
  stream: string,
  confirmed: () => LogSequence,
): () => Promise<LogSequence> {
  async function ask(): Promise<LogSequence> {
    if (link.downForMs() > 0) throw unknown(stream, 'there is no connection to NATS');
    const atLeast = confirmed();
    const info = await infoInTime(link, stream);
    const fault = info ? quorumFault(info) : 'there is no such stream';
    if (!info || fault !== undefined) throw unknown(stream, fault);
    const end = info.state.last_seq;
    if (end < atLeast) throw unknown(stream, `its leader says ${end}, but ${atLeast} was acknowledged`);
    return end;
  }

  return togetherInATurn(ask);
}

async function infoInTime(link: NatsLink, stream: string): ReturnType<typeof infoOf> {
  try {
    return await deadline(infoOf(link, stream), DEADLINE_MS);
  } catch (error) {
    throw unknown(stream, (error as Error).message, error);
  }
}

const unknown = (stream: string, why: string | undefined, cause?: unknown) =>
  new RetryableFault('log-unavailable', `the end of ${stream} is not known now: ${why}`, FAULT_DELAY_MS, {
    cause,
  });

/**
 * One question for all who ask in the same turn of the event loop, or while as many as may be are under way; it is
 * asked after each of them has called. A failure is everybody's whose question it was.
 */
function togetherInATurn<Answer>(ask: () => Promise<Answer>): () => Promise<Answer> {
  let waiting: ((answer: Promise<Answer>) => void)[] = [];
  let underWay = 0;

  async function askForAll(): Promise<void> {
    if (waiting.length === 0 || underWay >= AT_ONCE) return;
    const asking = waiting;
    waiting = [];
    underWay += 1;
    const answer = ask();
    for (const settle of asking) settle(answer);
    await answer.catch(() => {});
    underWay -= 1;
    void askForAll();
  }

  return () =>
    new Promise((settle) => {
      if (waiting.push(settle) === 1) setImmediate(askForAll);
    });
}
