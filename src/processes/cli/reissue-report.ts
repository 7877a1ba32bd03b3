import { formatYuan } from '../../vocabulary/fen.ts';

/** A job as operations answer it. */
export interface JobView {
  readonly id: number;
  readonly state: string;
  readonly contentHash: string;
  readonly lines: number;
  readonly madeBy: string;
  readonly madeAtMs: number;
  readonly approvedBy?: string;
  readonly perSecond: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly givenBefore: number;
  readonly needs: readonly {
    readonly campaign: string;
    readonly scene: string;
    readonly phaseKey: number;
    readonly lines: number;
    readonly fen: number | null;
    readonly remaining: { readonly fen: number; readonly packets: number };
    readonly suffices: boolean;
  }[];
  readonly suffices: boolean;
  readonly perSecondNow?: number;
  readonly secondsLeft?: number;
  readonly events: readonly {
    readonly atMs: number;
    readonly by: string;
    readonly act: string;
    readonly detail: string;
  }[];
}

const yuan = (fen: number): string => `¥${formatYuan(BigInt(fen) as never)}`;

/** A job for people: where it stands, what it needs, who did what, and what to do next. */
export function reportJob(job: JobView, isNew?: boolean): string {
  const counts = Object.entries(job.counts).map(([outcome, count]) => `${count} ${outcome}`);
  return [
    `Job ${job.id} is ${job.state}${isNew === false ? ' (this list was brought in before: it is the same job)' : ''}.`,
    `  content   ${job.contentHash}`,
    `  lines     ${job.lines}: ${counts.join(', ')}`,
    ...(job.givenBefore > 0
      ? [`  before    ${job.givenBefore} of those have their order already; it is not given again`]
      : []),
    ...job.needs.map(
      (need) =>
        `  ${need.suffices ? 'enough   ' : 'TOO LITTLE'} ${need.campaign}/${need.scene} (phase ${need.phaseKey}): ${need.lines} lines, ${need.fen === null ? 'amounts cut by the scene' : yuan(need.fen)}; remain ${need.remaining.packets} pieces, ${yuan(need.remaining.fen)}`,
    ),
    `  rate      at most ${job.perSecond} a second${job.perSecondNow === undefined ? '' : `, now ${job.perSecondNow}; about ${job.secondsLeft} s left`}`,
    ...job.events.map(({ atMs, by, act, detail }) =>
      `  ${new Date(atMs).toISOString()}  ${by}  ${act}  ${detail}`.trimEnd(),
    ),
    ...nextOf(job),
  ].join('\n');
}

function nextOf(job: JobView): string[] {
  switch (job.state) {
    case 'draft':
      return (job.counts.wrong ?? 0) > 0
        ? [
            `Next: correct the file and bring it again, then \`hongbao reissue cancel ${job.id}\`. Nothing was given.`,
          ]
        : [
            `Next: somebody other than ${job.madeBy} looks at this and types \`hongbao reissue approve ${job.id} --key-file THEIRS\`. Nothing was given.`,
          ];
    case 'approved':
      return [`Next: \`hongbao reissue start ${job.id}\`. Nothing was given.`];
    case 'running':
      return [`Next: \`hongbao reissue status ${job.id}\` until it is done.`];
    case 'paused':
      return [`Next: \`hongbao reissue start ${job.id}\` goes on.`];
    case 'done':
      return [
        `Next: \`hongbao reissue result ${job.id} -f LIST -o RESULT\`.`,
        ...((job.counts.refused ?? 0) > 0
          ? [`\`hongbao reissue start ${job.id}\` asks again for what was refused.`]
          : []),
      ];
    default:
      return [];
  }
}

export function reportWrong(job: JobView, wrong: readonly { line: number; reason: string }[]): string {
  if (wrong.length === 0) return '';
  const more = (job.counts.wrong ?? 0) - wrong.length;
  return [
    '',
    'Wrong lines:',
    ...wrong.map(({ line, reason }) => `  line ${line}: ${reason}`),
    ...(more > 0 ? [`  … and ${more} more: \`hongbao reissue result ${job.id}\` has them all`] : []),
  ].join('\n');
}

export const reportJobs = (jobs: readonly JobView[]): string =>
  jobs.length === 0
    ? 'No list was brought in yet.'
    : jobs
        .map(
          (job) =>
            `${job.id}  ${job.state}  ${job.lines} lines  made by ${job.madeBy}${job.approvedBy === undefined ? '' : `, approved by ${job.approvedBy}`}`,
        )
        .join('\n');
