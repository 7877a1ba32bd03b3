import { RetryableFault } from '../protocol/failures.ts';

export interface GateOptions {
  /** Calls inside at once, waiting ones included; the next is refused at once. */
  readonly callsMax: number;
  /** After so many faults in a row the gate shuts. */
  readonly faultsMax: number;
  /** How long it stays shut before one caller may try; ms. */
  readonly shutMs: number;
  readonly monotonicMs: () => number;
}

/** Stands before one shard, so that a shard that is gone holds up nobody but its own accounts, and those not for long. */
export interface Gate {
  /** Throws a RetryableFault at once when the shard is known to be away, or when too many wait for it already. */
  run<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Why it is shut; undefined while it is open. */
  reason(): string | undefined;
}

export function createGate(name: string, options: GateOptions): Gate {
  let inside = 0;
  let faults = 0;
  let lastFault = '';
  /** Undefined: open. */
  let triesAgainAtMs: number | undefined;

  const away = (why: string, delayMs: number) =>
    new RetryableFault('ledger-unavailable', `ledger shard ${name} ${why}`, delayMs);

  function enter(): void {
    if (inside >= options.callsMax) throw away('has too many calls waiting', 200);
    if (triesAgainAtMs === undefined) return;
    const nowMs = options.monotonicMs();
    if (nowMs < triesAgainAtMs) throw away(`is away: ${lastFault}`, Math.ceil(triesAgainAtMs - nowMs));
    // This caller tries; the others wait for what it finds.
    triesAgainAtMs = nowMs + options.shutMs;
  }

  function onFault(fault: RetryableFault): void {
    faults += 1;
    lastFault = fault.cause instanceof Error ? fault.cause.message : fault.message;
    if (faults >= options.faultsMax) triesAgainAtMs = options.monotonicMs() + options.shutMs;
  }

  return {
    async run(act) {
      enter();
      inside += 1;
      try {
        const result = await act();
        faults = 0;
        triesAgainAtMs = undefined;
        return result;
      } catch (error) {
        // Any other error is an answer too: the shard is there.
        if (error instanceof RetryableFault) onFault(error);
        else {
          faults = 0;
          triesAgainAtMs = undefined;
        }
        throw error;
      } finally {
        inside -= 1;
      }
    },
    reason: () => (triesAgainAtMs === undefined ? undefined : lastFault),
  };
}
