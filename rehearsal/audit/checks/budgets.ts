import { type Evidence, groupBy, sumOf } from '../evidence.ts';
import type { LineRow, SliceRow } from '../reading/database.ts';
import type { Notebook } from '../report.ts';

/** I4, line by line: nothing above the total, nothing lost, and the totals are the campaign's. */
export function checkBudgets(evidence: Evidence, notebook: Notebook): void {
  const { lines, slices } = evidence.database;
  notebook.saw('budget lines', lines.length);
  const byScene = groupBy(slices, (slice) => `${slice.phaseKey} ${slice.sceneId}`);
  const creditsBySlice = groupBy(evidence.credits, ({ sliceId }) => `${sliceId}`);
  const creditedOf = (slice: SliceRow) => creditsBySlice.get(`${slice.sliceId}`) ?? [];

  for (const line of lines) {
    const where = `phase ${line.phaseKey} scene ${line.sceneId} round ${line.rainId}`;
    const same = (what: string, is: bigint, shouldBe: bigint) =>
      notebook.same('I4', what, where, is, shouldBe);
    same(
      'remaining + leased + given is not the total of packets',
      line.remainingPackets + line.leasedPackets + line.givenPackets,
      line.totalPackets,
    );
    same(
      'remaining + leased + given is not the total of fen',
      line.remainingFen + line.leasedFen + line.givenFen,
      line.totalFen,
    );
    for (const [name, amount] of Object.entries(line))
      if (typeof amount === 'bigint' && amount < 0n) notebook.find('I4', 'budget below zero', where, name);

    const own = (byScene.get(`${line.phaseKey} ${line.sceneId}`) ?? []).filter(
      (slice) => line.rainId === 0 || slice.rainId === line.rainId,
    );
    const closed = own.filter(({ state }) => state === 'closed');
    const unclosed = own.filter(({ state }) => state !== 'closed');
    same(
      'given packets are not those of its closed slices',
      line.givenPackets,
      sumOf(closed.map((slice) => slice.givenPackets ?? 0n)),
    );
    same(
      'given fen are not those of its closed slices',
      line.givenFen,
      sumOf(closed.map((slice) => slice.givenFen ?? 0n)),
    );
    same(
      'leased packets are not those of its slices',
      line.leasedPackets,
      sumOf(unclosed.map(({ packets }) => packets)),
    );
    same('leased fen are not those of its slices', line.leasedFen, sumOf(unclosed.map(({ fen }) => fen)));

    const credits = own.flatMap(creditedOf);
    const creditedFen = sumOf(credits.map(({ amountFen }) => amountFen));
    if (creditedFen > line.totalFen || BigInt(credits.length) > line.totalPackets)
      notebook.find(
        'I4',
        'more was credited than the budget',
        where,
        `${credits.length} packets, ${creditedFen} fen`,
      );
    if (evidence.settled && unclosed.length === 0) {
      same('packets wasted', line.remainingPackets, line.totalPackets - BigInt(credits.length));
      same('fen wasted', line.remainingFen, line.totalFen - creditedFen);
    }
    checkTotals(evidence, notebook, line, where);
  }
}

function checkTotals(evidence: Evidence, notebook: Notebook, line: LineRow, where: string): void {
  const named = evidence.database.phases.find(({ phaseKey }) => phaseKey === line.phaseKey);
  const phase = named && evidence.campaigns.get(named.campaignId)?.phases.get(named.phaseId);
  const set =
    line.rainId === 0 ? phase?.budgets.get(line.sceneId) : phase?.round(line.rainId)?.deals.get(line.sceneId);
  if (!set) {
    notebook.find('I4', 'budget that no campaign sets', where, `${line.totalFen} fen`);
    return;
  }
  notebook.same(
    'I4',
    'budget is not the campaign’s',
    where,
    `${line.totalPackets} packets, ${line.totalFen} fen`,
    `${set.packets} packets, ${set.fen} fen`,
  );
}
