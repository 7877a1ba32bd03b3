import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { nextRain, phaseAt, rainAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Deal, Phase, Rain } from '../../campaign/snapshot.ts';
import type { Allotments, Slice } from '../../engines/ports.ts';
import { goesBack } from '../../rules/idle.ts';
import { newPace, type PaceState, refill, spend } from '../../rules/pace.ts';
import { type Fen, sumFen } from '../../vocabulary/fen.ts';
import type { PhaseKey, SceneId, SliceId } from '../../vocabulary/ids.ts';
import { type Clock, type InstantMs, instantMs } from '../../vocabulary/instant.ts';
import type { SliceUnit } from '../../vocabulary/order.ts';

/** A packet taken out of a slice: it is this person's, or it comes back when the slice is closed. */
export interface DealtPacket {
  readonly unit: SliceUnit;
  readonly amountFen: Fen;
  /** The last moment at which it may be granted. */
  readonly grantUntilMs: InstantMs;
}

export interface DealerOptions {
  readonly allotments: Allotments;
  readonly campaigns: () => Iterable<CampaignSnapshot>;
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each slice before anything is dealt from it. */
  readonly onLeased: (sliceId: SliceId) => void;
  /** Whether little is left of a budget of the scene; from memory. */
  readonly isLow: (phaseKey: PhaseKey, sceneId: SceneId) => boolean;
}

export interface Dealer {
  start(): void;
  /** Gives every undealt packet back. */
  stop(): Promise<void>;
  /** One packet of the scene in this round, if the pace and the slices in hand allow; decides from memory. */
  deal(phase: Phase, rain: Rain, sceneId: SceneId): DealtPacket | undefined;
  /** Leases ahead, and gives back what can't be dealt any more. Runs by itself; exported for tests. */
  maintain(): Promise<void>;
}

/** Slices are small, so that a crash keeps little from the budget for a while, and the last ones are soon spent. */
const SLICE_COVERS_MS_MAX = 10_000;
const SLICES_PER_ROUND_MIN = 10;
const SLICE_DEALS_FOR_MS = 30_000;
const SLICE_PACKETS_MAX = 20_000;
const LEASE_AHEAD_MS = 3_000;
const EXHAUSTED_MS = 1_000;
const MAINTAIN_EVERY_MS = 100;

interface Held {
  readonly slice: Slice;
  nextIndex: number;
}

/** What this process deals of one scene in one round. */
interface Table {
  readonly phase: Phase;
  readonly rain: Rain;
  /** As the newest file has it. */
  deal: Deal;
  /** The version of the file for which the round's line was set; undefined before that. */
  lineOf: number | undefined;
  readonly ticketTtlMs: number;
  readonly pace: PaceState;
  held: Held[];
  dealt: number;
  leasing: boolean;
  /** For so long, by the monotonic clock, an empty budget is not asked again. */
  exhaustedUntilMs: number;
  /** When somebody last shook for it, by the monotonic clock; before the round, when it begins. */
  askedAtMs: number;
  /** Its slices went back because nobody shook while little was left: nothing is leased until somebody does. */
  isParked: boolean;
}

/** Deals the night's packets from leased slices, in the access process itself: no database on the way of a shake. */
export function createDealer(options: DealerOptions): Dealer {
  const { allotments, clock, logger } = options;
  const tables = new Map<string, Table>();
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const keyOf = (phase: Phase, rain: Rain, sceneId: SceneId) => `${phase.key}/${rain.id}/${sceneId}`;

  function tableOf(campaign: CampaignSnapshot, phase: Phase, rain: Rain, deal: Deal): Table {
    const key = keyOf(phase, rain, deal.sceneId);
    let table = tables.get(key);
    if (!table) {
      const pace = newPace(Math.max(clock.now(), rain.startsAtMs));
      table = {
        phase,
        rain,
        deal,
        lineOf: undefined,
        ticketTtlMs: campaign.ticketTtlMs,
        pace,
        held: [],
        dealt: 0,
        leasing: false,
        exhaustedUntilMs: Number.NEGATIVE_INFINITY,
        askedAtMs: clock.monotonicMs() + Math.max(0, rain.startsAtMs - clock.now()),
        isParked: false,
      };
      tables.set(key, table);
    }
    table.deal = deal;
    return table;
  }

  const undealt = (table: Table): number =>
    table.held.reduce((sum, one) => sum + one.slice.packets - one.nextIndex, 0);

  function wantedPackets(table: Table): number {
    const { rain, deal } = table;
    const perMs =
      Math.max(1, deal.packets - table.dealt) /
      Math.max(1_000, rain.endsAtMs - Math.max(clock.now(), rain.startsAtMs));
    return Math.min(
      SLICE_PACKETS_MAX,
      Math.max(
        1,
        Math.ceil(
          perMs * Math.min(SLICE_COVERS_MS_MAX, (rain.endsAtMs - rain.startsAtMs) / SLICES_PER_ROUND_MIN),
        ),
      ),
    );
  }

  async function leaseFor(table: Table, campaign: CampaignSnapshot): Promise<void> {
    const nowMs = clock.now();
    const wanted = wantedPackets(table);
    const isExhausted = clock.monotonicMs() < table.exhaustedUntilMs;
    if (table.isParked || table.leasing || isExhausted || undealt(table) * 2 >= wanted) return;
    table.leasing = true;
    try {
      await setRainLines(campaign, table);
      const dealFromMs = instantMs(Math.max(nowMs, table.rain.startsAtMs));
      const dealUntilMs = instantMs(Math.min(dealFromMs + SLICE_DEALS_FOR_MS, table.rain.endsAtMs));
      const slice = await allotments.lease({
        phaseKey: table.phase.key,
        sceneId: table.deal.sceneId,
        rainId: table.rain.id,
        holder: options.holder,
        packetsWanted: wanted,
        dealFromMs,
        dealUntilMs,
        grantUntilMs: instantMs(dealUntilMs + table.ticketTtlMs),
      });
      if (!slice) table.exhaustedUntilMs = clock.monotonicMs() + EXHAUSTED_MS;
      else {
        options.onLeased(slice.sliceId);
        table.held.push({ slice, nextIndex: 0 });
      }
    } finally {
      table.leasing = false;
    }
  }

  /** A series has thousands of rounds: each one's lines are made when it is near, and again when the file is another. */
  async function setRainLines(campaign: CampaignSnapshot, table: Table): Promise<void> {
    const { version } = campaign;
    if (table.lineOf === version) return;
    const scene = campaign.scenes.get(table.deal.sceneId)!;
    const refusal = await allotments.setBudgets([
      {
        phaseKey: table.phase.key,
        sceneId: scene.id,
        rainId: table.rain.id,
        total: { packets: table.deal.packets, fen: table.deal.budgetFen },
        packetCapFen: scene.packetCapFen,
        rule: scene.amount.rule,
        version,
      },
    ]);
    if (!refusal || table.held.length > 0 || table.dealt > 0) table.lineOf = version;
    if (refusal)
      logger.error(
        { scene: scene.id, rain: table.rain.id, detail: refusal.detail },
        'a round’s budget could not be set',
      );
  }

  /**
   * What can't be dealt any more goes back at once, and what nobody shakes for here once little is left; what was dealt
   * stays open until its tickets have ended.
   */
  async function giveBack(table: Table, all: boolean): Promise<void> {
    const nowMs = clock.now();
    const isLow = table.held.length > 0 && options.isLow(table.phase.key, table.deal.sceneId);
    const idleMs = clock.monotonicMs() - table.askedAtMs;
    const over = table.held.filter(
      ({ slice, nextIndex }) =>
        all ||
        nextIndex >= slice.packets ||
        goesBack({ nowMs, dealUntilMs: slice.dealUntilMs, idleMs, isLow }),
    );
    table.isParked ||= over.some(
      ({ slice, nextIndex }) => nextIndex < slice.packets && nowMs < slice.dealUntilMs,
    );
    table.held = table.held.filter((one) => !over.includes(one));
    for (const { slice, nextIndex } of over) {
      if (nextIndex >= slice.packets) continue;
      try {
        await allotments.returnTail(slice, nextIndex, sumFen(slice.packetsFen!.slice(nextIndex)));
      } catch (error) {
        // The slice is closed by its tally later: nothing is lost, it only takes longer.
        logger.warn(
          { sliceId: String(slice.sliceId), error: (error as Error).message },
          'undealt packets could not be given back yet',
        );
      }
    }
  }

  async function maintain(): Promise<void> {
    const nowMs = clock.now();
    for (const campaign of options.campaigns()) {
      const phase = phaseAt(campaign, nowMs);
      if (!phase) continue;
      const next = nextRain(phase, nowMs);
      const rains = [
        rainAt(phase, nowMs),
        next && next.startsAtMs - nowMs <= LEASE_AHEAD_MS ? next : undefined,
      ];
      for (const rain of rains) {
        for (const deal of rain?.deals ?? []) await leaseFor(tableOf(campaign, phase, rain!, deal), campaign);
      }
    }
    for (const [key, table] of tables) {
      await giveBack(table, false);
      if (nowMs >= table.rain.endsAtMs && table.held.length === 0 && !table.leasing) tables.delete(key);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await maintain().catch((error: Error) =>
        logger.warn({ error: error.message }, 'slices could not be leased; dealing what is in hand'),
      );
      await delay(MAINTAIN_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  return {
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
      // Side by side: while the database is silent each of them waits as long as a statement may.
      await Promise.all([...tables.values()].map((table) => giveBack(table, true)));
    },
    deal(phase, rain, sceneId) {
      const table = tables.get(keyOf(phase, rain, sceneId));
      if (table) {
        table.askedAtMs = clock.monotonicMs();
        table.isParked = false;
      }
      const held = table?.held.find((one) => one.nextIndex < one.slice.packets);
      if (!table || !held) return undefined;
      const nowMs = clock.now();
      const { startsAtMs, endsAtMs } = rain;
      if (nowMs >= held.slice.dealUntilMs) return undefined;
      if (
        refill(table.pace, { nowMs, startsAtMs, endsAtMs, remaining: table.deal.packets - table.dealt }) < 1
      )
        return undefined;
      spend(table.pace);
      table.dealt += 1;
      const index = held.nextIndex;
      held.nextIndex += 1;
      return {
        unit: { sliceId: held.slice.sliceId, epoch: held.slice.epoch, index },
        amountFen: held.slice.packetsFen![index]!,
        grantUntilMs: held.slice.grantUntilMs,
      };
    },
    maintain,
  };
}
