import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Scene } from '../../campaign/snapshot.ts';
import type { Allotments, Slice } from '../../engines/ports.ts';
import { type Refusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import { goesBack } from '../../rules/idle.ts';
import { FIRST_SLICE_PACKETS, nextSlicePackets } from '../../rules/slice-size.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { PhaseKey, SceneId } from '../../vocabulary/ids.ts';
import { type Clock, type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';
import type { Granter } from './grant.ts';
import { emptied, type Held, hold, restOf, returnUnit, takeUnit } from './held.ts';
import { createTurns } from './turns.ts';

/** A unit of a slice that pays for one grant: it is this order's, or it comes back when the slice is closed. */
export interface Payment {
  readonly unit: SliceUnit;
  readonly amountFen: Fen;
  /** The last moment at which it may be granted. */
  readonly grantUntilMs: InstantMs;
}

/** The slices from which this process grants for services upstream, one a scene and phase. */
export interface SceneSlices {
  /**
   * The next unit of the scene's slice; leases another when this one can't pay. `amountFen` is needed for a `given`
   * scene, and is not taken for others.
   */
  take(scene: Scene, phaseKey: PhaseKey, amountFen: Fen | undefined): Promise<Payment | Refusal>;
  /**
   * Its grant was refused: nothing was promised, and the unit may pay for another; or none of its slice may, when that
   * is fenced. Never after an unknown outcome.
   */
  putBack(payment: Payment, refusal?: Refusal): void;
  /** Gives back by itself what nobody comes for. */
  start(): void;
  /** Gives back what is left of them. */
  stop(): Promise<void>;
  /** One look at everything in hand. Runs by itself after `start`; exported for tests. */
  maintain(): Promise<void>;
}

export interface SceneSlicesOptions {
  readonly granter: Pick<Granter, 'acceptSlice'>;
  readonly allotments: Pick<Allotments, 'lease' | 'returnTail'>;
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether little is left of a budget of the scene; from memory. */
  readonly isLow: (phaseKey: PhaseKey, sceneId: SceneId) => boolean;
  readonly times?: Partial<SliceTimes>;
}

/** In ms. */
export interface SliceTimes {
  /** How long is dealt from a slice that came out as it was wanted. */
  readonly dealsFor: number;
  /** How long a unit may be granted after that. */
  readonly grantMargin: number;
  readonly maintainEvery: number;
  /** For so long an empty budget is not asked again. */
  readonly exhaustedFor: number;
}

const TIMES: SliceTimes = { dealsFor: 60_000, grantMargin: 10_000, maintainEvery: 250, exhaustedFor: 200 };

interface Exhausted {
  readonly untilMs: number;
  /** Less may still be payable. */
  readonly amountFen: Fen | undefined;
}

/** Holds one slice a scene and phase; those who ask for the same scene take turns, so that one leases for all. */
export function createSceneSlices(options: SceneSlicesOptions): SceneSlices {
  const { granter, allotments, clock, logger } = options;
  const times = { ...TIMES, ...options.times };
  const turns = createTurns<string>();
  const inHand = new Map<string, Held>();
  const exhausted = new Map<string, Exhausted>();
  /** How many packets are leased next, where it is not as many as at first. */
  const sizes = new Map<string, number>();
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  async function takeInTurn(
    key: string,
    scene: Scene,
    phaseKey: PhaseKey,
    amountFen: Fen | undefined,
  ): Promise<Payment | Refusal> {
    const unit = paymentFrom(key, amountFen);
    if (unit) return unit;
    if (isExhausted(key, amountFen)) return nothingLeft(scene);
    await giveBack(key);
    const slice = await lease(key, scene, phaseKey, amountFen);
    if (!slice) {
      exhausted.set(key, { untilMs: clock.monotonicMs() + times.exhaustedFor, amountFen });
      return nothingLeft(scene);
    }
    granter.acceptSlice(slice.sliceId);
    inHand.set(key, hold(slice, clock));
    return paymentFrom(key, amountFen) ?? nothingLeft(scene);
  }

  function paymentFrom(key: string, amountFen: Fen | undefined): Payment | undefined {
    const held = inHand.get(key);
    return held && takeUnit(held, amountFen, clock);
  }

  function isExhausted(key: string, amountFen: Fen | undefined): boolean {
    const last = exhausted.get(key);
    if (!last || clock.monotonicMs() >= last.untilMs) return false;
    return amountFen === undefined || last.amountFen === undefined || amountFen >= last.amountFen;
  }

  function lease(
    key: string,
    scene: Scene,
    phaseKey: PhaseKey,
    amountFen: Fen | undefined,
  ): Promise<Slice | undefined> {
    const packetsWanted = sizes.get(key) ?? FIRST_SLICE_PACKETS;
    const dealFromMs = clock.now();
    const dealUntilMs = instantMs(dealFromMs + times.dealsFor);
    return allotments.lease({
      phaseKey,
      sceneId: scene.id,
      rainId: undefined,
      holder: options.holder,
      packetsWanted,
      ...(scene.amount.rule === 'given' ? moneyWanted(scene, packetsWanted, amountFen!) : {}),
      dealFromMs,
      dealUntilMs,
      grantUntilMs: instantMs(dealUntilMs + times.grantMargin),
    });
  }

  /** What was not dealt goes back. When that fails, the slice is closed by its tally later: it only takes longer. */
  async function giveBack(key: string): Promise<void> {
    const held = inHand.get(key);
    inHand.delete(key);
    if (!held) return;
    const rest = restOf(held);
    const lastedMs = clock.monotonicMs() - held.leasedAtMs;
    sizes.set(key, nextSlicePackets(sizes.get(key) ?? FIRST_SLICE_PACKETS, lastedMs, !rest));
    if (!rest) return;
    try {
      await allotments.returnTail(held.slice, rest.fromIndex, rest.fen);
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      logger.warn(
        { sliceId: String(held.slice.sliceId), reason: error.message },
        'the rest of a slice could not be given back yet',
      );
    }
  }

  const isOver = (held: Held): boolean =>
    emptied(held) ||
    goesBack({
      nowMs: clock.now(),
      dealUntilMs: held.slice.dealUntilMs,
      idleMs: clock.monotonicMs() - held.askedAtMs,
      isLow: options.isLow(held.slice.phaseKey, held.slice.sceneId),
    });

  async function maintain(): Promise<void> {
    const over = [...inHand].filter(([, held]) => isOver(held));
    await Promise.all(
      over.map(([key, held]) =>
        turns.take(key, async () => {
          if (inHand.get(key) === held && isOver(held)) await giveBack(key);
        }),
      ),
    );
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await maintain();
      await delay(times.maintainEvery, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  return {
    async take(scene, phaseKey, amountFen) {
      const key = `${phaseKey}/${scene.id}`;
      // What is in hand is taken at once; turns are for those who have to wait for a lease.
      return (
        paymentFrom(key, amountFen) ?? turns.take(key, () => takeInTurn(key, scene, phaseKey, amountFen))
      );
    },
    putBack({ unit, amountFen }, refusal) {
      for (const [key, held] of inHand) {
        if (held.slice.sliceId !== unit.sliceId || held.slice.epoch !== unit.epoch) continue;
        if (refusal?.refused === 'slice-fenced') inHand.delete(key);
        else returnUnit(held, unit.index, amountFen);
      }
    },
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
      await Promise.all([...inHand.keys()].map((key) => turns.take(key, () => giveBack(key))));
    },
    maintain,
  };
}

const nothingLeft = (scene: Scene): Refusal =>
  refuse('budget-exhausted', `scene ${scene.id} has nothing left that can pay this`);

/** For a scene whose amounts upstreams name: what a slice's packets cost on average, at least what is asked for now. */
function moneyWanted(
  { budget }: Scene,
  packets: number,
  amountFen: Fen,
): { readonly fenWanted: Fen; readonly fenLeast: Fen } {
  const usual = (budget.fen * BigInt(packets)) / BigInt(budget.packets);
  return { fenWanted: (usual > amountFen ? usual : amountFen) as Fen, fenLeast: amountFen };
}
