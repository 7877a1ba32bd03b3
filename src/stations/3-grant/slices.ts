import type { Scene } from '../../campaign/snapshot.ts';
import type { Allotments, Slice } from '../../engines/ports.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import { type Clock, type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';
import type { Granter } from './grant.ts';
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
  /** Gives back what is left of them. */
  stop(): Promise<void>;
}

export interface SceneSlicesOptions {
  readonly granter: Pick<Granter, 'acceptSlice'>;
  readonly allotments: Allotments;
  readonly holder: string;
  readonly clock: Clock;
}

const SLICE_PACKETS = 100;
const SLICE_DEALS_FOR_MS = 60_000;
const GRANT_MARGIN_MS = 10_000;

interface Held {
  readonly slice: Slice;
  nextIndex: number;
  fenLeft: bigint;
}

/** Holds one slice a scene and phase; those who ask for the same scene take turns, so that one leases for all. */
export function createSceneSlices(options: SceneSlicesOptions): SceneSlices {
  const { granter, allotments, clock } = options;
  const turns = createTurns<string>();
  const held = new Map<string, Held>();

  function unitFrom(from: Held | undefined, amountFen: Fen | undefined): Payment | undefined {
    if (!from || from.nextIndex >= from.slice.packets || clock.now() >= from.slice.dealUntilMs)
      return undefined;
    const amount = from.slice.packetsFen?.[from.nextIndex] ?? amountFen!;
    if (amount > from.fenLeft) return undefined;
    const unit = { sliceId: from.slice.sliceId, epoch: from.slice.epoch, index: from.nextIndex };
    from.nextIndex += 1;
    from.fenLeft -= amount;
    return { unit, amountFen: amount, grantUntilMs: from.slice.grantUntilMs };
  }

  function lease(scene: Scene, phaseKey: PhaseKey, amountFen: Fen | undefined): Promise<Slice | undefined> {
    const dealUntilMs = instantMs(clock.now() + SLICE_DEALS_FOR_MS);
    const mean = scene.budget.fen / BigInt(scene.budget.packets) || 1n;
    const fenWanted = (
      mean * BigInt(SLICE_PACKETS) > (amountFen ?? 0n) ? mean * BigInt(SLICE_PACKETS) : amountFen!
    ) as Fen;
    return allotments.lease({
      phaseKey,
      sceneId: scene.id,
      rainId: undefined,
      holder: options.holder,
      packetsWanted: SLICE_PACKETS,
      ...(scene.amount.rule === 'given' ? { fenWanted } : {}),
      dealUntilMs,
      grantUntilMs: instantMs(dealUntilMs + GRANT_MARGIN_MS),
    });
  }

  async function giveBack({ slice, nextIndex, fenLeft }: Held): Promise<void> {
    if (nextIndex < slice.packets) await allotments.returnTail(slice, nextIndex, fenLeft as Fen);
  }

  return {
    take(scene, phaseKey, amountFen) {
      const key = `${phaseKey}/${scene.id}`;
      return turns.take(key, async () => {
        for (let leased = false; ; leased = true) {
          const unit = unitFrom(held.get(key), amountFen);
          if (unit) return unit;
          if (leased)
            return refuse('budget-exhausted', `scene ${scene.id} has nothing left that can pay this`);
          const before = held.get(key);
          held.delete(key);
          if (before) await giveBack(before);
          const slice = await lease(scene, phaseKey, amountFen);
          if (!slice) return refuse('budget-exhausted', `scene ${scene.id} has nothing left`);
          granter.acceptSlice(slice.sliceId);
          held.set(key, { slice, nextIndex: 0, fenLeft: slice.fen });
        }
      });
    },
    async stop() {
      for (const one of held.values()) await giveBack(one).catch(() => {});
    },
  };
}
