import type { ReissueAct, ReissueJob, ReissueState } from '../engines/ports.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';

/** What an operator may do with a job in each state, and what it becomes. Not in the table: refused. */
const NEXT_REISSUE_STATE: Readonly<
  Record<ReissueState, Readonly<Record<ReissueAct, ReissueState | undefined>>>
> = {
  checking: { approve: undefined, start: undefined, pause: undefined, cancel: 'cancelled' },
  draft: { approve: 'approved', start: undefined, pause: undefined, cancel: 'cancelled' },
  approved: { approve: undefined, start: 'running', pause: undefined, cancel: 'cancelled' },
  running: { approve: undefined, start: undefined, pause: 'paused', cancel: 'cancelled' },
  paused: { approve: undefined, start: 'running', pause: undefined, cancel: 'cancelled' },
  // What was refused may be asked for again, when a budget was raised, say: the same lines, approved as they are.
  done: { approve: undefined, start: 'running', pause: undefined, cancel: undefined },
  cancelled: { approve: undefined, start: undefined, pause: undefined, cancel: undefined },
};

export interface ReissueDecision {
  readonly act: ReissueAct;
  readonly by: string;
  /** Of an approval: the content that was looked at. */
  readonly contentHash?: string | undefined;
}

/** The job's next state, or why not. `counts`: its lines by outcome. */
export function decideReissue(
  job: Pick<ReissueJob, 'id' | 'state' | 'madeBy' | 'contentHash'>,
  counts: Readonly<Record<string, number>>,
  ask: ReissueDecision,
): ReissueState | Refusal {
  const next = NEXT_REISSUE_STATE[job.state][ask.act];
  if (!next) return refuse('reissue-not-now', `job ${job.id} is ${job.state}; ${ADVICE[job.state]}`);
  if (ask.act === 'approve') {
    if (ask.by === job.madeBy)
      return refuse('forbidden', `${ask.by} made job ${job.id}, so somebody else has to approve it`);
    if (ask.contentHash !== job.contentHash)
      return refuse(
        'reissue-changed',
        `the approval is of another content than job ${job.id} has; look at its status again`,
      );
    if ((counts.wrong ?? 0) > 0)
      return refuse(
        'reissue-not-now',
        `${counts.wrong} lines of job ${job.id} are wrong; correct the file, bring it again, and cancel this job`,
      );
  }
  if (ask.act === 'start' && job.state === 'done' && (counts.refused ?? 0) === 0)
    return refuse('reissue-not-now', `job ${job.id} is done, and none of its lines was refused`);
  return next;
}

const ADVICE: Readonly<Record<ReissueState, string>> = {
  checking: 'its lines are being checked, wait for its totals',
  draft: 'a second operator approves it first',
  approved: 'start it',
  running: 'pause it first, or wait until it is done',
  paused: 'start it to go on',
  done: 'its lines are settled',
  cancelled: 'bring the file again for a new job',
};
