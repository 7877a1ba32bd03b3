import type { Socket } from 'node:net';

/** What a direction is like at this moment. */
export interface LaneWeather {
  readonly delayMs: number;
  readonly isStalled: boolean;
}

/** One direction of one connection. */
export interface Lane {
  /** To be called after `weather` began to say something else. */
  weatherChanged(): void;
  /** Nothing is passed on any more. */
  end(): void;
}

/** What lies in a lane at most before the sender is held back, as a real network would. */
const BYTES_MAX = 1 << 20;

type Load = Buffer | 'end' | 'reset';
type Parcel = { readonly load: Load; readonly dueAtMs: number };

/**
 * Carries bytes, the end of the stream and its reset from one socket to another, in order. `onChunk` sees each chunk as it
 * comes in; false swallows it.
 */
export function createLane(
  from: Socket,
  to: Socket,
  weather: () => LaneWeather,
  onChunk: (chunk: Buffer) => boolean,
): Lane {
  const parcels: Parcel[] = [];
  let bytes = 0;
  let isBlocked = false;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;

  const accept = (load: Load): void => {
    parcels.push({ load, dueAtMs: performance.now() + weather().delayMs });
    if (typeof load === 'object') bytes += load.length;
    forward();
  };

  /** Sends on what is due. A later parcel never overtakes, even if the delay was made shorter in between. */
  function forward(): void {
    clearTimeout(timer);
    timer = undefined;
    while (!ended && !weather().isStalled && !isBlocked && parcels.length > 0) {
      const { load, dueAtMs } = parcels[0]!;
      const waitMs = weather().delayMs === 0 ? 0 : dueAtMs - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(forward, waitMs);
        break;
      }
      parcels.shift();
      hand(load);
    }
    readOrHold();
  }

  function hand(load: Load): void {
    if (typeof load === 'object') bytes -= load.length;
    if (to.destroyed) return;
    if (load === 'end') return void to.end();
    if (load === 'reset') return void to.resetAndDestroy();
    if (to.write(load)) return;
    isBlocked = true;
    to.once('drain', () => {
      isBlocked = false;
      forward();
    });
  }

  function readOrHold(): void {
    if (ended || weather().isStalled || bytes > BYTES_MAX) from.pause();
    else from.resume();
  }

  from.on('data', (chunk: Buffer) => {
    if (!ended && onChunk(chunk)) accept(chunk);
  });
  from.on('end', () => {
    if (!ended) accept('end');
  });
  // News of a death travels like everything else: late, or not at all while the lane is stalled.
  from.on('error', () => {
    if (!ended) accept('reset');
  });
  readOrHold();
  return {
    weatherChanged: forward,
    end() {
      ended = true;
      clearTimeout(timer);
      parcels.length = 0;
    },
  };
}
