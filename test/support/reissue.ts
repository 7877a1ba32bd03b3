import { createHmac } from 'node:crypto';
import type { Pool } from 'pg';
import type { CampaignSnapshot, Scene } from '../../src/campaign/snapshot.ts';
import { createReclaimer } from '../../src/control/reclaim.ts';
import { askForLine } from '../../src/control/reissue/ask.ts';
import { checkLines } from '../../src/control/reissue/check.ts';
import { createReissueDesk, type ReissueDesk, type ReissueView } from '../../src/control/reissue/desk.ts';
import { createReissueWorker, type ReissueWorkerOptions } from '../../src/control/reissue/worker.ts';
import type { ControlStore, ReissueLineDue, ReissueResult, Reissues } from '../../src/engines/ports.ts';
import { controlMigrations, createControlStore } from '../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../src/engines/postgres/migrate.ts';
import { createReissues, reissueMigrations } from '../../src/engines/postgres/reissue/index.ts';
import { createOperators } from '../../src/engines/postgres/reissue/operators.ts';
import { gather } from '../../src/guard/gather.ts';
import { isRefusal } from '../../src/protocol/failures.ts';
import type { Granter } from '../../src/stations/3-grant/grant.ts';
import { createSceneSlices } from '../../src/stations/3-grant/slices.ts';
import { createUpstreamGranter } from '../../src/stations/3-grant/upstream.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, AppId, PhaseKey, SceneId, SponsorId } from '../../src/vocabulary/ids.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';
import { LIVE_OPENS_MS, testCampaign } from './campaign.ts';
import { quiet } from './postgres.ts';
import { type Rig, startRig, type TestClock, testClock, until } from './rig.ts';
import { creditorOver, granterOver } from './stations.ts';

export const LIVE_KEY = 3 as PhaseKey;
/** When the lines of `listOf` were drawn. */
export const DRAWN_AT_MS = LIVE_OPENS_MS + 1_000;

/** A list for one scene whose amounts are given: `user`, `fen`. */
export const listOf = (
  scene: string,
  lines: readonly { readonly user: string; readonly fen?: number; readonly rain?: number }[],
): string =>
  [
    'campaign,scene,rain,app,user,amountFen,drawnAt',
    ...lines.map(
      ({ user, fen, rain }) => `gala,${scene},${rain ?? 1},demo,${user},${fen ?? ''},${DRAWN_AT_MS}`,
    ),
  ].join('\n');

/** Everything that a control works on, with a crediting engine behind it; controls come and go. */
export interface ReissueStage {
  readonly rig: Rig;
  readonly clock: TestClock;
  readonly reissues: Reissues;
  readonly control: ControlStore;
  readonly desk: ReissueDesk;
  /** Adds a scene whose amounts callers give, with a budget of its own. */
  addScene(id: string, budget: { fen: number; packets: number }): Promise<void>;
  /** Brings a list, waits until it is checked, has it approved by another. */
  approved(list: string): Promise<ReissueView>;
  startControl(more?: Partial<ReissueWorkerOptions> & { plug?: Plug }): Control;
  /** Lets time run fast, and slices go home, until something holds. */
  pump(holds: () => boolean | Promise<boolean>, what: string): Promise<void>;
  results(id: number): Promise<readonly ReissueResult[]>;
  pool: Pool;
  stop(): Promise<void>;
}

export interface Control {
  stop(): Promise<void>;
}

/** Cuts a control off between any two of its acts, before or after one: nothing it does is heard any more. */
export interface Plug {
  around<Args extends unknown[], Result>(
    act: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result>;
}

const PLUGGED_IN: Plug = { around: (act) => act };

export const plugOf = (actsLeft: number, onPulled: () => void): Plug => {
  let left = actsLeft;
  const never = new Promise<never>(() => {});
  return {
    around:
      (act) =>
      async (...args) => {
        left -= 1;
        if (left < 0) return never;
        // An even number: what was asked for happens, and nobody hears the answer.
        const isLast = left === 0;
        if (isLast) onPulled();
        if (isLast && actsLeft % 2 === 1) return never;
        const result = await act(...args);
        return isLast || left < 0 ? never : result;
      },
  };
};

export async function startReissueStage(): Promise<ReissueStage> {
  const rig = await startRig();
  await migrate(rig.pool, [...controlMigrations, ...reissueMigrations]);
  const promises = await rig.journal('reissue');
  const clock = testClock(DRAWN_AT_MS + 3_600_000);
  const reissues = createReissues(rig.pool);
  const control = createControlStore(rig.pool);
  let campaign: CampaignSnapshot = testCampaign;
  const fatal: unknown[] = [];
  const onFatal = (error: unknown) => void fatal.push(error);
  const crediting = creditorOver(promises, rig.ledger, clock, { onFatal });
  crediting.start();
  let controls = 0;
  const living = new Set<Granter>();
  const reclaimer = createReclaimer({
    allotments: rig.allotments,
    logs: [promises.log],
    ledger: rig.ledger,
    refuseSlice: (sliceId) => Promise.all([...living].map((granter) => granter.refuseSlice(sliceId))),
    clock,
    logger: quiet,
    marginMs: 0,
    intervalMs: 1_000,
  });
  const desk = createReissueDesk({
    reissues,
    operators: createOperators(rig.pool),
    budgets: rig.allotments.budgets,
    campaigns: () => new Map([[campaign.id as string, campaign]]),
    userKeyOf: (appId: AppId, user: string) => createHmac('sha256', 'key').update(`${appId}${user}`).digest(),
    clock,
    wake: () => {},
  });
  const isCredited = async (actId: ActId, phaseKey: PhaseKey, orderNumber: OrderNumber): Promise<boolean> =>
    (await rig.ledger.wallet({ actId, phaseKey }, [orderNumber])).credited.has(orderNumber);

  const stage: ReissueStage = {
    rig,
    pool: rig.pool,
    clock,
    reissues,
    control,
    desk,
    async addScene(id, budget) {
      const scene = sceneOf(id, budget);
      campaign = { ...campaign, scenes: new Map([...campaign.scenes, [scene.id, scene]]) };
      await rig.allotments.setBudgets([
        {
          phaseKey: LIVE_KEY,
          sceneId: scene.id,
          rainId: undefined,
          total: scene.budget,
          packetCapFen: scene.packetCapFen,
          rule: 'given',
        },
      ]);
    },
    async approved(list) {
      const brought = await desk.bring(pieces(list), 'ann');
      if (isRefusal(brought)) throw new Error(brought.detail);
      const { id } = brought.view;
      const checker = stage.startControl();
      await until(async () => (await reissues.job(id))!.state !== 'checking', 'the check', 60_000);
      await checker.stop();
      const { contentHash } = brought.view;
      const view = await desk.act(id, 'approve', 'bob', contentHash);
      if (isRefusal(view)) throw new Error(view.detail);
      return view;
    },
    startControl({ plug = PLUGGED_IN, ...more } = {}) {
      controls += 1;
      const granter = granterOver(promises, () => campaign);
      living.add(granter);
      const slices = createSceneSlices({
        granter,
        allotments: rig.allotments,
        holder: 'reissue',
        clock,
        logger: quiet,
        isLow: () => false,
        times: { exhaustedFor: 0 },
      });
      const upstream = createUpstreamGranter({ granter, slices, clock });
      const personOf = gather(control.personsOf);
      const campaignOf = (id: string) => (id === campaign.id ? campaign : undefined);
      const worker = createReissueWorker({
        reissues: pluggedIn(reissues, plug),
        worker: `control ${controls}`,
        check: (lines) =>
          checkLines(
            { campaign: campaignOf, personsFor: control.personsFor, areGiven: rig.ledger.areCredited },
            lines,
          ),
        ask: plug.around((line: ReissueLineDue) =>
          askForLine(
            {
              campaign: campaignOf,
              grant: plug.around(upstream.grant),
              personOf,
              isCredited,
            },
            line,
          ),
        ),
        unclosedSlices: async () => (await rig.allotments.unclosed()).map(({ slice }) => slice),
        clock,
        logger: quiet,
        pollMs: 2,
        onFatal,
        ...more,
      });
      worker.start();
      return {
        async stop() {
          await worker.stop();
          await slices.stop();
          living.delete(granter);
        },
      };
    },
    async pump(holds, what) {
      await until(
        async () => {
          clock.set(clock.now() + 500);
          await reclaimer.sweepOnce();
          if (fatal.length > 0) throw fatal[0];
          return holds();
        },
        what,
        120_000,
      );
    },
    results: (id) => reissues.results(id, 0, 1_000_000),
    async stop() {
      await crediting.stop();
      await promises.log.close();
      await rig.stop();
      if (fatal.length > 0) throw fatal[0];
    },
  };
  return stage;
}

function pluggedIn(reissues: Reissues, plug: Plug): Reissues {
  return {
    ...reissues,
    claim: plug.around(reissues.claim),
    renew: plug.around(reissues.renew),
    release: plug.around(reissues.release),
    take: plug.around(reissues.take),
    settle: plug.around(reissues.settle),
    putBack: plug.around(reissues.putBack),
    finish: plug.around(reissues.finish),
  };
}

export async function* pieces(text: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}

const sceneOf = (id: string, { fen, packets }: { fen: number; packets: number }): Scene => ({
  ...testCampaign.scenes.get('cash' as SceneId)!,
  id: id as SceneId,
  sponsorId: 'panda' as SponsorId,
  amount: { rule: 'given' },
  packetCapFen: 10_000n as Fen,
  personPacketsMax: 5,
  budget: { fen: BigInt(fen) as Fen, packets },
});

/** How often each order number of a scene stands in the ledger, and what all of them sum to. */
export async function creditedOf(
  pool: Pool,
  scene: string,
): Promise<{ orders: number; fen: number; numbers: number }> {
  const { rows } = await pool.query<{ orders: bigint; fen: bigint; numbers: bigint }>(
    `SELECT count(*) AS orders, coalesce(sum(amount_fen), 0)::bigint AS fen, count(DISTINCT ref) AS numbers
     FROM ledger.posting WHERE split_part(ref, '_', 2) = $1 AND act_id > 0`,
    [scene],
  );
  return {
    orders: Number(rows[0]!.orders),
    fen: Number(rows[0]!.fen),
    numbers: Number(rows[0]!.numbers),
  };
}
