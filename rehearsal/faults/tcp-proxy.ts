import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createLane, type Lane, type LaneWeather } from './tcp-lane.ts';

export type Direction = 'toServer' | 'toClient' | 'both';

export interface TcpProxyOptions {
  /** Where it listens, on loopback. Handed in, so that it can be announced before anything listens behind it. */
  readonly port: number;
  readonly target: { readonly port: number; readonly host?: string };
}

/** Makes a stretch of network bad, and good again. */
export interface Weather {
  /** From now on every chunk takes this long, in order, for each direction apart; 0 is at once. */
  delay(delayMs: { readonly toServer?: number; readonly toClient?: number }): void;
  /** Resets every connection, and each new one as soon as it is made. */
  cut(): void;
  /**
   * Half-open: sockets stay, nothing passes, not even their end. What was said meanwhile arrives after `restore`, as
   * after a partition. New connections are accepted (the system does that) and stay silent.
   */
  stall(direction?: Direction): void;
  /** Good weather again; connections that were not cut go on. With `reset`, they are reset first. */
  restore(how?: { readonly reset?: boolean }): void;
}

/** A stretch of network. Its own weather is that of every connection. */
export interface TcpProxy extends Weather {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** The weather of those who dial from this address only, on top of the general one. */
  from(address: string): Weather;
  /**
   * Executed, but the reply is lost: the first chunk from a client that matches is passed on; when the server has
   * answered it, the answer is swallowed and the client reset. Resolves when that has happened. Once a call.
   */
  loseReplyTo(matches: (chunk: Buffer) => boolean): Promise<void>;
  close(): Promise<void>;
}

interface Pair {
  readonly source: string;
  readonly toServer: Lane;
  readonly toClient: Lane;
  reset(): void;
}

interface Conditions {
  isCut: boolean;
  toServer: LaneWeather;
  toClient: LaneWeather;
}

const GOOD: LaneWeather = { delayMs: 0, isStalled: false };
const ANYWHERE = '*';

/** Passes bytes between clients and one server, as well or as badly as it is told. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const conditions = new Map<string, Conditions>();
  const pairs = new Set<Pair>();
  const lostReplies: { matches: (chunk: Buffer) => boolean; done: () => void }[] = [];

  const conditionsAt = (source: string): Conditions => {
    const known = conditions.get(source) ?? { isCut: false, toServer: GOOD, toClient: GOOD };
    conditions.set(source, known);
    return known;
  };
  const isCut = (source: string): boolean => conditionsAt(ANYWHERE).isCut || conditionsAt(source).isCut;
  const weatherOf = (source: string, direction: 'toServer' | 'toClient') => (): LaneWeather => {
    const [general, own] = [conditionsAt(ANYWHERE)[direction], conditionsAt(source)[direction]];
    return { delayMs: general.delayMs + own.delayMs, isStalled: general.isStalled || own.isStalled };
  };

  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    client.on('error', () => {});
    if (isCut(client.remoteAddress ?? '')) return void client.resetAndDestroy();
    pairs.add(join(client));
  });

  function join(client: Socket): Pair {
    const { host = '127.0.0.1', port } = options.target;
    const source = client.remoteAddress ?? '';
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
      source,
      reset,
      toServer: createLane(client, upstream, weatherOf(source, 'toServer'), (chunk) => {
        const index = losing ? -1 : lostReplies.findIndex(({ matches }) => matches(chunk));
        if (index >= 0) losing = lostReplies.splice(index, 1)[0]!.done;
        return true;
      }),
      toClient: createLane(upstream, client, weatherOf(source, 'toClient'), () => {
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

  function weatherAt(source: string): Weather {
    const here = () => [...pairs].filter((pair) => source === ANYWHERE || pair.source === source);
    const own = conditionsAt(source);
    const changed = (): void => {
      for (const { toServer, toClient } of here()) {
        toServer.weatherChanged();
        toClient.weatherChanged();
      }
    };
    return {
      delay({ toServer, toClient }) {
        if (toServer !== undefined) own.toServer = { ...own.toServer, delayMs: toServer };
        if (toClient !== undefined) own.toClient = { ...own.toClient, delayMs: toClient };
      },
      cut() {
        own.isCut = true;
        for (const pair of here()) pair.reset();
      },
      stall(direction = 'both') {
        if (direction !== 'toClient') own.toServer = { ...own.toServer, isStalled: true };
        if (direction !== 'toServer') own.toClient = { ...own.toClient, isStalled: true };
        changed();
      },
      restore({ reset = false } = {}) {
        if (reset) for (const pair of here()) pair.reset();
        Object.assign(own, { isCut: false, toServer: GOOD, toClient: GOOD });
        changed();
      },
    };
  }

  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  return {
    ...weatherAt(ANYWHERE),
    port: options.port,
    get connections() {
      return pairs.size;
    },
    from: weatherAt,
    loseReplyTo: (matches) => new Promise((done) => lostReplies.push({ matches, done })),
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const pair of [...pairs]) pair.reset();
      await closed;
    },
  };
}
