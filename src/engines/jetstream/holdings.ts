import type { Logger } from 'pino';
import { mayPass } from './faults.ts';
import { OwnershipLost } from './takeover.ts';

/** The right to credit one bucket, as it is handed to whoever does it. */
export interface Claim {
  readonly bucket: number;
  readonly epoch: number;
  /** Whether it still holds by everybody's common truth. */
  confirm(): Promise<boolean>;
  /** To be told when it turns out that it does not. */
  onLost(): void;
}

export interface OpenedBucket {
  /** Finishes what is in hand and ends. Also called after the bucket was lost. Must not throw. */
  close(): Promise<void>;
}

export type OpenBucket = (claim: Claim) => Promise<OpenedBucket>;

type Holding =
  | { readonly state: 'opening' | 'open' | 'closing'; readonly epoch: number }
  /** Put down, or never opened: it is given back at the next turn. */
  | { readonly state: 'released'; readonly epoch: number };

export interface HoldingsOptions {
  readonly open: OpenBucket;
  readonly confirm: (bucket: number, epoch: number) => Promise<boolean>;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
  /** Told when something was put down or failed. */
  readonly onChange: () => void;
}

/** What is being done about the buckets that are ours: opening → open → closing → released. */
export function createHoldings(options: HoldingsOptions) {
  const { logger } = options;
  const holdings = new Map<number, Holding>();
  const opened = new Map<number, OpenedBucket>();
  const epochsSeen = new Map<number, number>();

  const is = (bucket: number, epoch: number, state: Holding['state']): boolean => {
    const now = holdings.get(bucket);
    return now?.epoch === epoch && now.state === state;
  };

  async function open(bucket: number, epoch: number): Promise<void> {
    holdings.set(bucket, { state: 'opening', epoch });
    try {
      const made = await options.open({
        bucket,
        epoch,
        confirm: () => options.confirm(bucket, epoch),
        onLost: () => putDown(bucket, epoch),
      });
      opened.set(bucket, made);
      // It may have been lost while it was being opened.
      if (is(bucket, epoch, 'opening')) holdings.set(bucket, { state: 'open', epoch });
      else await close(bucket, epoch);
    } catch (error) {
      failed(bucket, epoch, error);
    }
  }

  function failed(bucket: number, epoch: number, error: unknown): void {
    if (error instanceof OwnershipLost && error.newestEpoch > 0) epochsSeen.set(bucket, error.newestEpoch);
    const reason = (error as Error).message;
    logger.warn({ bucket, epoch, reason }, 'a bucket could not be opened; it is given back');
    holdings.set(bucket, { state: 'released', epoch });
    if (!mayPass(error)) options.onFatal(error);
  }

  function putDown(bucket: number, epoch = holdings.get(bucket)?.epoch): void {
    if (epoch === undefined) return;
    const state = holdings.get(bucket)?.state;
    if (holdings.get(bucket)?.epoch !== epoch || state === 'closing' || state === 'released') return;
    holdings.set(bucket, { state: 'closing', epoch });
    // While it is being opened, whoever opens it closes it.
    if (state === 'open') void close(bucket, epoch);
  }

  async function close(bucket: number, epoch: number): Promise<void> {
    await opened.get(bucket)?.close();
    opened.delete(bucket);
    holdings.set(bucket, { state: 'released', epoch });
    options.onChange();
  }

  return {
    putDown: (bucket: number) => putDown(bucket),
    /** After a turn: `released` were given back, `mine` are ours now. */
    settle(mine: ReadonlyMap<number, number>, released: ReadonlySet<number>): void {
      for (const bucket of released) if (holdings.get(bucket)?.state === 'released') holdings.delete(bucket);
      for (const [bucket, { epoch }] of holdings) if (mine.get(bucket) !== epoch) putDown(bucket, epoch);
      for (const [bucket, epoch] of mine) if (!holdings.has(bucket)) void open(bucket, epoch);
    },
    loseAll(reason: string): void {
      for (const [bucket, { state, epoch }] of holdings) {
        if (state !== 'open' && state !== 'opening') continue;
        logger.warn({ bucket, epoch, reason }, 'a bucket is put down');
        putDown(bucket, epoch);
      }
    },
    released: (): Set<number> => withState('released'),
    /** What is being put down, or is given back in this turn: somebody else may have it first. */
    busy: (): Set<number> => new Set([...withState('closing'), ...withState('released')]),
    epochsSeen: (): ReadonlyMap<number, number> => epochsSeen,
    isEmpty: (): boolean => holdings.size === 0,
    /** Nothing is open any more; some may wait to be given back. */
    isDone: (): boolean => [...holdings.values()].every((one) => one.state === 'released'),
    owned(): Map<number, { epoch: number }> {
      const owned = new Map<number, { epoch: number }>();
      for (const [bucket, { state, epoch }] of holdings) if (state === 'open') owned.set(bucket, { epoch });
      return owned;
    },
  };

  function withState(state: Holding['state']): Set<number> {
    return new Set([...holdings].filter(([, one]) => one.state === state).map(([bucket]) => bucket));
  }
}
