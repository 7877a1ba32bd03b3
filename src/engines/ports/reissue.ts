/** The part of ports.ts that batch reissue needs; imported from there. */
import type { Refusal } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, AppId, CampaignId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { OrderNumber } from '../../vocabulary/order-number.ts';

export const REISSUE_STATES = [
  'checking',
  'draft',
  'approved',
  'running',
  'paused',
  'done',
  'cancelled',
] as const;
export type ReissueState = (typeof REISSUE_STATES)[number];
export const REISSUE_ACTS = ['approve', 'start', 'pause', 'cancel'] as const;
export type ReissueAct = (typeof REISSUE_ACTS)[number];

/** A list (seed 2022: 批量卡券和红包补发): a job that control works on line by line. */
export interface ReissueJob {
  readonly id: number;
  readonly state: ReissueState;
  /** SHA-256 of the file's bytes, hex: what is approved. */
  readonly contentHash: string;
  readonly lines: number;
  readonly madeBy: string;
  readonly madeAtMs: InstantMs;
  readonly approvedBy?: string;
  readonly perSecond: number;
}

/** A line as it is brought in: who it is about as a keyed hash only. Or why it can't be read. */
export type ReissueLineIn =
  | {
      readonly line: number;
      readonly campaignId: CampaignId;
      readonly sceneId: SceneId;
      readonly rainId: RainId;
      readonly appId: AppId;
      readonly userKey: Uint8Array;
      readonly amountFen: Fen | undefined;
      readonly drawnAtMs: InstantMs;
    }
  | { readonly line: number; readonly wrong: string };

/** A line whose person is not looked up yet. */
export type ReissueLineUnchecked = Exclude<ReissueLineIn, { readonly wrong: string }>;

/** What the check found. `before`: the order stands in the log or the ledger already. */
export type ReissueChecked =
  | { readonly line: number; readonly wrong: string }
  | {
      readonly line: number;
      readonly actId: ActId;
      readonly phaseKey: PhaseKey;
      readonly orderNumber: OrderNumber;
      readonly before: boolean;
    };

/** A line on its way to 3-grant. */
export interface ReissueLineDue {
  readonly line: number;
  readonly campaignId: CampaignId;
  readonly sceneId: SceneId;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly actId: ActId;
  readonly phaseKey: PhaseKey;
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs;
  readonly orderNumber: OrderNumber;
  /** It was asked for before, and what became of it is not known. */
  readonly askedBefore: boolean;
  /** The check found the order in the log or the ledger. */
  readonly givenBefore: boolean;
}

/**
 * granted: by this job. already: this person had it. refused: with the reason; nothing moved. wrong: can't be read.
 * duplicate: an earlier line of the list is the same order.
 */
export const REISSUE_OUTCOMES = ['granted', 'already', 'refused', 'wrong', 'duplicate'] as const;
export type ReissueOutcome = (typeof REISSUE_OUTCOMES)[number];

export interface ReissueSettled {
  readonly line: number;
  readonly outcome: Extract<ReissueOutcome, 'granted' | 'already' | 'refused'>;
  /** Of what was given; also where that is another order than was asked for (a consolation). */
  readonly orderNumber?: OrderNumber;
  readonly amountFen?: Fen;
  readonly reason?: string;
}

/** A line of the result file. No outcome: not settled (yet). */
export interface ReissueResult {
  readonly line: number;
  readonly outcome: ReissueOutcome | undefined;
  readonly actId: ActId | undefined;
  readonly orderNumber: OrderNumber | undefined;
  readonly amountFen: Fen | undefined;
  readonly reason: string | undefined;
}

/** Lines of one scene and phase that are not settled and were not given before. */
export interface ReissueNeed {
  readonly campaignId: CampaignId;
  readonly sceneId: SceneId;
  readonly phaseKey: PhaseKey;
  readonly lines: number;
  /** The sum of the amounts that the lines name. */
  readonly namedFen: Fen;
}

/** The audit log of a job: who did what, when. */
export interface ReissueEvent {
  readonly atMs: InstantMs;
  readonly by: string;
  readonly act: 'made' | 'checked' | ReissueAct | 'rate' | 'done';
  readonly detail: string;
}

/** A worker's hold on a job, good until another worker's epoch; what an older one writes is not taken. */
export interface ReissueHold {
  readonly jobId: number;
  readonly epoch: number;
}

export interface Reissues {
  /** Keeps a list, whole or not at all. The same content again, unless it was cancelled, is the job that there is. */
  keep(
    list: { readonly madeBy: string; readonly madeAtMs: InstantMs; readonly perSecond: number },
    lines: AsyncIterable<readonly ReissueLineIn[]>,
    /** Asked once the lines have ended. */
    contentHash: () => Uint8Array,
  ): Promise<{ readonly job: ReissueJob; readonly isNew: boolean }>;
  job(id: number): Promise<ReissueJob | undefined>;
  /** Newest first. */
  jobs(limit: number): Promise<readonly ReissueJob[]>;
  /** Does what an operator asks, by the rules of src/rules/reissue-machine.ts; both job and audit log, or neither. */
  act(
    id: number,
    ask: {
      readonly act: ReissueAct;
      readonly by: string;
      readonly atMs: InstantMs;
      readonly contentHash?: string | undefined;
    },
  ): Promise<ReissueJob | Refusal>;
  setRate(id: number, perSecond: number, by: string, atMs: InstantMs): Promise<ReissueJob | Refusal>;
  /** Lines by outcome; those without one as `waiting`, or `asking` (begun, and nothing known yet). */
  counts(id: number): Promise<Readonly<Record<string, number>>>;
  /** Lines that were settled by asking since then. */
  settledSince(id: number, sinceMs: InstantMs): Promise<number>;
  /** Lines that are not settled and whose order was found in the log or the ledger. */
  givenBefore(id: number): Promise<number>;
  needs(id: number): Promise<readonly ReissueNeed[]>;
  events(id: number): Promise<readonly ReissueEvent[]>;
  /** By line, strictly behind `after`; only these outcomes, if any are named. */
  results(
    id: number,
    after: number,
    limit: number,
    only?: readonly ReissueOutcome[],
  ): Promise<readonly ReissueResult[]>;

  /**
   * Takes a job that has work and that nobody else holds at this moment; passes over those that are named. `worker` is
   * the same after a restart: what it held when it died is its own at once. All workers hold on for equally long: what
   * is held for a minute longer than `untilMs` is of a clock that was ahead, and may be taken.
   */
  claim(
    worker: string,
    nowMs: InstantMs,
    untilMs: InstantMs,
    except: readonly number[],
  ): Promise<ReissueHold | undefined>;
  /** Holds on; the job as it is now. Undefined when another worker has it. */
  renew(hold: ReissueHold, untilMs: InstantMs): Promise<ReissueJob | undefined>;
  /** Gives the job up at once. */
  release(hold: ReissueHold): Promise<void>;
  unchecked(hold: ReissueHold, limit: number): Promise<readonly ReissueLineUnchecked[]>;
  noteChecked(hold: ReissueHold, checked: readonly ReissueChecked[]): Promise<boolean>;
  /** Finds duplicates; checking → draft. */
  finishCheck(hold: ReissueHold, atMs: InstantMs): Promise<void>;
  /**
   * Marks lines as asked, durably, before anybody is asked: those that were begun first. Of a job that does not run
   * only those that were begun. Passes over waiting lines of the parked scenes.
   */
  take(
    hold: ReissueHold,
    limit: number,
    parked: readonly { readonly phaseKey: PhaseKey; readonly sceneId: SceneId }[],
  ): Promise<readonly ReissueLineDue[]>;
  /** Notes what became of lines. Settled ones stay as they are. */
  settle(hold: ReissueHold, settled: readonly ReissueSettled[], atMs: InstantMs): Promise<void>;
  /** Puts lines back that are known not to have been given: they are asked again later. */
  putBack(hold: ReissueHold, lines: readonly number[]): Promise<void>;
  /** running → done, when nothing is left. */
  finish(hold: ReissueHold, atMs: InstantMs): Promise<boolean>;
}

/** Who may operate, beside the first one (ControlStore). Names are given once: an approval is a name's. */
export interface Operators {
  /** False, and nothing is changed, when the name is taken. */
  add(operator: { name: string; keyHash: Uint8Array; addedBy: string; atMs: InstantMs }): Promise<boolean>;
  list(): Promise<readonly { readonly name: string; readonly addedBy: string | undefined }[]>;
}
