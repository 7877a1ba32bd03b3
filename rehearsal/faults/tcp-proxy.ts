import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createLane, type Lane, type LaneWeather } from './tcp-lane.ts';

export type Direction = 'toServer' | 'toClient' | 'both';

export interface TcpProxyOptions {
  /** Where it listens, on loopback. Handed in, so that it can be announced before anything listens behind it. */
  readonly port: number;
  readonly target: { readonly port: number; readonly host?: string };
}

/** A stretch of network that can be made bad. */
export interface TcpProxy {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** From now on every chunk takes this long, in order, for each direction apart; 0 is at once. */
  delay(delayMs: { readonly toServer?: number; readonly toClient?: number }): void;
  /** Resets every connection, and each new one as soon as it is made. */
  cut(): void;
  /**
   * Half-open: sockets stay, nothing passes, not even their end. What was said meanwhile arrives after `restore`, as
   * after a partition. New connections are accepted (the system does that) and stay silent.
   */
  stall(direction?: Direction): void;
  /**
   * Executed, but the reply is lost: the first chunk from a client that matches is passed on; when the server has
   * answered it, the answer is swallowed and the client reset. Resolves when that has happened. Once a call.
   */
  loseReplyTo(matches: (chunk: Buffer) => boolean): Promise<void>;
  /** Good weather again; connections that were not cut go on. With `reset`, they are reset first. */
  restore(how?: { readonly reset?: boolean }): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly toServer: Lane;
  readonly toClient: Lane;
  reset(): void;
}

/** Passes bytes between clients and one server, as well or as badly as it is told. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const weather = { toServer: goodWeather(), toClient: goodWeather() };
  const pairs = new Set<Pair>();
  const lostReplies: { matches: (chunk: Buffer) => boolean; done: () => void }[] = [];
  let isCut = false;

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    client.on('error', () => {});
    if (isCut) return void client.resetAndDestroy();
    pairs.add(join(client));
  });

  function join(client: Socket): Pair {
    const { host = '127.0.0.1', port } = options.target;
    const upstream = connect({ host, port, noDelay: true, allowHalfOpen: true });
    client.setNoDelay(true);
    const reset = (): void => {
      pairs.delete(pair);
      pair.toServer.end();
      pair.toClient.end();
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    };
    let losing: (() => void) | undefined;
    const pair: Pair = {
      client,
      reset,
      toServer: createLane(client, upstream, weather.toServer, (chunk) => {
        const index = losing ? -1 : lostReplies.findIndex(({ matches }) => matches(chunk));
        if (index >= 0) losing = lostReplies.splice(index, 1)[0]!.done;
        return true;
      }),
      toClient: createLane(upstream, client, weather.toClient, () => {
        if (!losing) return true;
        reset();
        losing();
        return false;
      }),
    };
    const forget = (): void => {
      if (client.destroyed && upstream.destroyed) pairs.delete(pair);
    };
    client.on('close', forget);
    upstream.on('close', forget);
    return pair;
  }

  const resetAll = (): void => {
    for (const pair of [...pairs]) pair.reset();
  };
  const changed = (): void => {
    for (const { toServer, toClient } of pairs) {
      toServer.weatherChanged();
      toClient.weatherChanged();
    }
  };
  const lanesOf = (direction: Direction): LaneWeather[] =>
    direction === 'both' ? [weather.toServer, weather.toClient] : [weather[direction]];

  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: options.port,
    get connections() {
      return pairs.size;
    },
    delay({ toServer, toClient }) {
      if (toServer !== undefined) weather.toServer.delayMs = toServer;
      if (toClient !== undefined) weather.toClient.delayMs = toClient;
    },
    cut() {
      isCut = true;
      resetAll();
    },
    stall(direction = 'both') {
      for (const lane of lanesOf(direction)) lane.isStalled = true;
      changed();
    },
    loseReplyTo: (matches) => new Promise((done) => lostReplies.push({ matches, done })),
    restore({ reset = false } = {}) {
      if (reset) resetAll();
      isCut = false;
      for (const lane of lanesOf('both')) Object.assign(lane, goodWeather());
      changed();
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      resetAll();
      await closed;
    },
  };
}

const goodWeather = (): LaneWeather => ({ delayMs: 0, isStalled: false });
