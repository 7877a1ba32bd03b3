import { type ConnectionOptions, createConnection } from '../connection.ts';
import { createSessionKeeper } from '../session-keeper.ts';
import { createManualTime } from './manual-time.ts';
import { scriptedSockets } from './scripted-sockets.ts';

export const ANSWER_WITHIN_MS = 8_000;

/** A connection whose sockets and time the test moves; `fetch` gives its sessions. */
export function scriptedConnection(fetch: () => Promise<string>, more: Partial<ConnectionOptions> = {}) {
  const time = createManualTime();
  const sockets = scriptedSockets();
  const { timers } = time;
  const answerWithinMs = ANSWER_WITHIN_MS;
  const connection = createConnection({
    url: 'ws://gateway/v1/play',
    campaignId: 'gala',
    sessions: createSessionKeeper({ fetch, person: 'alice', nowMs: time.nowMs, timers, answerWithinMs }),
    socket: sockets.socket,
    random: () => 0.5,
    timers,
    answerWithinMs,
    onState: () => {},
    onThrottle: () => {},
    onServerTime: () => {},
    ...more,
  });
  return { time, sockets, connection };
}
