import type { Logger } from 'pino';
import { createPeople, type People } from '../../identity/people.ts';
import { createSweeper } from '../../identity/sweeper.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { Stores } from '../stores/index.ts';

export interface IdentityPart {
  readonly people: People;
  start(): void;
  stop(): Promise<void>;
}

/** Who is who, in every process; what lies in aliases' accounts is swept up where control is. */
export function createIdentity(deps: {
  readonly stores: Stores;
  readonly identityKey: Buffer;
  readonly sweeps: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onFatal: (error: unknown) => void;
}): IdentityPart {
  const { stores, clock, logger, metrics } = deps;
  const sweeper = createSweeper({
    store: stores.control,
    ledger: stores.ledger,
    clock,
    logger,
    onMoved: () => metrics.moved.inc(),
    onFatal: deps.onFatal,
  });
  const people = createPeople({
    store: stores.control,
    identityKey: deps.identityKey,
    logger,
    monotonicMs: clock.monotonicMs,
    onJoined: sweeper.take,
    onPhone: (outcome) => metrics.phones.inc({ outcome }),
  });
  people.start();
  return {
    people,
    start() {
      if (deps.sweeps) sweeper.start();
    },
    async stop() {
      await people.stop();
      await sweeper.stop();
    },
  };
}
