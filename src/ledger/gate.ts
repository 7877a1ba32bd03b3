import { RetryableFault } from '../protocol/failures.ts';

export interface GateOptions {
  /** Calls inside at once, waiting ones included; the next is refused at once. */
  readonly callsMax: number;
  /** The gate shuts when this long, in ms, there were faults, two at least, and not one answer. */
  readonly quietMs: number;
  /** How long it stays shut before one caller may try; ms. */
  readonly shutMs: number;
  readonly monotonicMs: () => number;
  /** Whether an error means that nobody is there; any other error is an answer too. */
  readonly isAway: (error: unknown) => boolean;
}

/** The gate's own word: nothing was asked, and asking again at once is of no use. */
export class ShardAway extends RetryableFault {}

/** Stands before one shard, so that a shard that is gone holds up nobody but its own accounts, and those not for long. */
export interface Gate {
  /** Throws ShardAway at once when the shard is known to be away, or when too many wait for it already. */
  run<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Why it is shut; undefined while it is open. */
  reason(): string | undefined;
}

export function createGate(name: string, options: GateOptions): Gate {
  let inside = 0;
  /** When the first fault came after the last answer. */
  let quietSinceMs: number | undefined;
  let lastFault = '';
  /** Undefined: open. */
  let triesAgainAtMs: number | undefined;

  const away = (why: string, delayMs: number) =>
    new ShardAway('ledger-unavailable', `ledger shard ${name} ${why}`, delayMs);

  function enter(): void {
    if (inside >= options.callsMax) throw away('has too many calls waiting', 200);
    if (triesAgainAtMs === undefined) return;
    const nowMs = options.monotonicMs();
    if (nowMs < triesAgainAtMs) throw away(`is away: ${lastFault}`, Math.ceil(triesAgainAtMs - nowMs));
    // This caller tries; the others wait for what it finds.
    triesAgainAtMs = nowMs + options.shutMs;
  }

  function onFault(fault: Error): void {
    const nowMs = options.monotonicMs();
    lastFault = fault.cause instanceof Error ? fault.cause.message : fault.message;
    // One connection that was cut says little: while others are answered, the shard is there.
    if (quietSinceMs === undefined) quietSinceMs = nowMs;
    else if (nowMs - quietSinceMs >= options.quietMs) triesAgainAtMs = nowMs + options.shutMs;
  }

  function onAnswer(): void {
    quietSinceMs = undefined;
    triesAgainAtMs = undefined;
  }

  return {
    async run(act) {
      enter();
      inside += 1;
      try {
        const result = await act();
        onAnswer();
        return result;
      } catch (error) {
        if (options.isAway(error)) onFault(error as Error);
        else onAnswer();
        throw error;
      } finally {
        inside -= 1;
      }
    },
    reason: () => (triesAgainAtMs === undefined ? undefined : lastFault),
  };
}
