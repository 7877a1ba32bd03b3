import type { Award, Awards } from '../../engines/ports.ts';
import { type Clock, instantMs } from '../../vocabulary/instant.ts';

export interface HurryOptions {
  readonly awards: Pick<Awards, 'awardsDueBehind'>;
  readonly clock: Clock;
  /** As far ahead as any process puts a piece off now, ms. */
  readonly aheadMsMax: number;
  /** Makes a piece due now; counts as no try. */
  readonly letGo: (award: Award) => Promise<void>;
  readonly isStopped: () => boolean;
}

/** Clocks of processes are apart a little, and the connectors file is not everywhere the same at each moment. */
const MARGIN_MS = 60_000;
const ROWS = 200;

/**
 * Makes due what is due further ahead than anybody puts a piece off: it was credited, claimed or put off by a clock that
 * was ahead and has been set right since, and would wait for as long as that was off. A claim among them may still be
 * somebody's: then two ask for the same piece. Gives how many there were.
 */
export async function hurryDueAhead(options: HurryOptions): Promise<number> {
  const { awards, clock, letGo } = options;
  for (let hurried = 0; ; ) {
    const behindMs = instantMs(Math.ceil(clock.now() + options.aheadMsMax + MARGIN_MS));
    const found = await awards.awardsDueBehind(behindMs, ROWS);
    await Promise.all(found.map(letGo));
    hurried += found.length;
    if (found.length < ROWS || options.isStopped()) return hurried;
  }
}
