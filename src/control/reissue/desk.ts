import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type {
  Allotments,
  Operators,
  ReissueAct,
  ReissueEvent,
  ReissueJob,
  ReissueOutcome,
  Reissues,
} from '../../engines/ports.ts';
import { newSecret, secretHash } from '../../guard/secrets.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import { csvRecord } from '../../rules/csv.ts';
import { type NeedAgainstBudget, needsAgainstBudgets } from '../../rules/reissue-needs.ts';
import type { AppId } from '../../vocabulary/ids.ts';
import { type Clock, instantMs } from '../../vocabulary/instant.ts';
import { importReissue } from './import.ts';

/** The name of whoever uses the machine's own key. No operator may be called so. */
export const LOCAL_OPERATOR = 'local';

/** Everything that is known of a job. */
export interface ReissueView extends ReissueJob {
  /** Lines by outcome; `waiting` and `asking` have none yet, `unchecked` are not looked at. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of those that are not settled: this person has the order already, and it will be answered so. */
  readonly givenBefore: number;
  /** What is still to be given, by scene, against what remains. */
  readonly needs: readonly NeedAgainstBudget[];
  readonly suffices: boolean;
  /** Of the last seconds; undefined when it does not run. */
  readonly perSecondNow: number | undefined;
  readonly secondsLeft: number | undefined;
  readonly events: readonly ReissueEvent[];
}

/** What operators do with lists. Each act is told by whom. */
export interface ReissueDesk {
  bring(
    body: AsyncIterable<Uint8Array>,
    by: string,
  ): Promise<{ readonly view: ReissueView; readonly isNew: boolean } | Refusal>;
  view(id: number): Promise<ReissueView | Refusal>;
  jobs(): Promise<readonly ReissueJob[]>;
  act(
    id: number,
    act: ReissueAct,
    by: string,
    contentHash: string | undefined,
  ): Promise<ReissueView | Refusal>;
  setRate(id: number, perSecond: number, by: string): Promise<ReissueView | Refusal>;
  /** The result file, in pieces: line, outcome, order number, amount, ActId, reason. */
  result(id: number, only: readonly ReissueOutcome[] | undefined): Promise<AsyncIterable<string> | Refusal>;
  /** The new operator's key, shown this once. */
  addOperator(name: string, by: string): Promise<string | Refusal>;
  operators(): ReturnType<Operators['list']>;
}

export interface DeskDeps {
  readonly reissues: Reissues;
  readonly operators: Operators;
  readonly budgets: Allotments['budgets'];
  readonly campaigns: () => ReadonlyMap<string, CampaignSnapshot>;
  readonly userKeyOf: (appId: AppId, user: string) => Uint8Array;
  readonly clock: Clock;
  /** Something changed that a worker of this process may go on with. */
  readonly wake: () => void;
}

const JOBS_SHOWN = 50;
const RATE_WINDOW_MS = 10_000;
const PAGE_LINES = 5_000;
const RESULT_HEADER = ['line', 'outcome', 'orderNumber', 'amountFen', 'actId', 'reason'];

export function createReissueDesk(deps: DeskDeps): ReissueDesk {
  const { reissues, operators, clock } = deps;

  async function viewOf(job: ReissueJob): Promise<ReissueView> {
    const isOver = job.state === 'done' || job.state === 'cancelled';
    const [counts, givenBefore, events, needs] = await Promise.all([
      reissues.counts(job.id),
      reissues.givenBefore(job.id),
      reissues.events(job.id),
      isOver ? [] : needsOf(job.id),
    ]);
    const left = (counts.waiting ?? 0) + (counts.asking ?? 0);
    const perSecondNow = job.state === 'running' ? await speedOf(job) : undefined;
    const perSecond = Math.min(job.perSecond, perSecondNow || job.perSecond);
    return {
      ...job,
      counts,
      givenBefore,
      needs,
      suffices: needs.every((need) => need.suffices),
      perSecondNow,
      secondsLeft: job.state === 'running' ? Math.ceil(left / perSecond) : undefined,
      events,
    };
  }

  async function speedOf(job: ReissueJob): Promise<number> {
    const settled = await reissues.settledSince(job.id, instantMs(clock.now() - RATE_WINDOW_MS));
    return Math.round((settled * 1_000) / RATE_WINDOW_MS);
  }

  async function needsOf(id: number): Promise<NeedAgainstBudget[]> {
    const needs = await reissues.needs(id);
    const phases = [...new Set(needs.map((need) => need.phaseKey))];
    const budgets = (await Promise.all(phases.map((phaseKey) => deps.budgets(phaseKey)))).flat();
    return needsAgainstBudgets(
      needs,
      (need) => deps.campaigns().get(need.campaignId)?.scenes.get(need.sceneId),
      budgets,
    );
  }

  async function changed(job: ReissueJob | Refusal): Promise<ReissueView | Refusal> {
    if (isRefusal(job)) return job;
    deps.wake();
    return viewOf(job);
  }

  async function* pages(id: number, only: readonly ReissueOutcome[] | undefined): AsyncGenerator<string> {
    yield csvRecord(RESULT_HEADER);
    for (let after = 0; ; ) {
      const page = await reissues.results(id, after, PAGE_LINES, only);
      if (page.length === 0) return;
      yield page
        .map((one) =>
          csvRecord([
            one.line,
            one.outcome ?? 'none',
            one.orderNumber ?? '',
            one.amountFen ?? '',
            one.actId ?? '',
            one.reason ?? '',
          ]),
        )
        .join('');
      after = page.at(-1)!.line;
    }
  }

  return {
    async bring(body, by) {
      const kept = await importReissue(deps, body, by);
      if (isRefusal(kept)) return kept;
      deps.wake();
      return { view: await viewOf(kept.job), isNew: kept.isNew };
    },
    async view(id) {
      const job = await reissues.job(id);
      return job ? viewOf(job) : refuse('reissue-unknown', `there is no job ${id}`);
    },
    jobs: () => reissues.jobs(JOBS_SHOWN),
    act: async (id, act, by, contentHash) =>
      changed(await reissues.act(id, { act, by, atMs: clock.now(), contentHash })),
    setRate: async (id, perSecond, by) => changed(await reissues.setRate(id, perSecond, by, clock.now())),
    async result(id, only) {
      return (await reissues.job(id)) ? pages(id, only) : refuse('reissue-unknown', `there is no job ${id}`);
    },
    async addOperator(name, by) {
      const key = newSecret('hbo');
      if (name.toLowerCase() === LOCAL_OPERATOR)
        return refuse('name-taken', `${LOCAL_OPERATOR} is the machine's own user`);
      const isAdded = await operators.add({
        name,
        keyHash: secretHash(key),
        addedBy: by,
        atMs: clock.now(),
      });
      return isAdded ? key : refuse('name-taken', `there is an operator ${name} already`);
    },
    operators: operators.list,
  };
}
