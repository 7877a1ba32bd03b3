import type { GrantLog } from '../../engines/ports.ts';
import { RetryableFault } from '../../protocol/failures.ts';

/** Logs that operations may switch off, as if they were down. Fences and lookups go on: they need no promise. */
export function switchable(logs: readonly GrantLog[]): {
  readonly logs: readonly GrantLog[];
  setOff(off: boolean): void;
} {
  let isOff = false;
  const mustBeOn = () => {
    if (isOff) throw new RetryableFault('log-unavailable', 'the log is switched off', 1_000);
  };
  return {
    logs: logs.map((log) => ({
      ...log,
      append: async (batch) => {
        mustBeOn();
        return log.append(batch);
      },
      endNow: async () => {
        mustBeOn();
        return log.endNow();
      },
      health: () => (isOff ? { accepting: false, reason: 'the log is switched off' } : log.health()),
    })),
    setOff(off) {
      isOff = off;
    },
  };
}
