import { parse } from 'yaml';
import type { JournalEntry } from './journal.ts';
import type { Books, Catalog, LineRow, SliceRow } from './ledger.ts';
import type { Findings } from './report.ts';

/** Every line is its total, and what it has out is what its slices are (I4): a level's are those of its scenes. */
export function checkLines(books: Books, findings: Findings): void {
  const slices = new Map<string, SliceRow[]>();
  for (const slice of books.slices) {
    const own = slices.get(sceneKey(slice)) ?? [];
    slices.set(sceneKey(slice), own);
    own.push(slice);
  }
  const scenes = books.lines.filter(({ rain_id, rule }) => rain_id === 0 && rule !== 'level');
  for (const line of books.lines) {
    const own =
      line.rule === 'level'
        ? scenes
            .filter((scene) => scene.phase_key === line.phase_key && scene.levels.includes(line.scene_id))
            .flatMap((scene) => slices.get(sceneKey(scene)) ?? [])
        : (slices.get(sceneKey(line)) ?? []).filter(
            ({ rain_id }) => line.rain_id === 0 || rain_id === line.rain_id,
          );
    checkLine(line, own, findings);
  }
  const paths = new Set(books.lines.filter(({ rule }) => rule === 'level').map(sceneKey));
  for (const { phase_key, scene_id, levels } of scenes)
    for (const path of levels)
      if (!paths.has(sceneKey({ phase_key, scene_id: path })))
        findings.add('I4', 'a scene counts for a total that is not there', scene_id, path);
}

const sceneKey = (row: { readonly phase_key: number; readonly scene_id: string }): string =>
  `${row.phase_key} ${row.scene_id}`;

function checkLine(line: LineRow, own: readonly SliceRow[], findings: Findings): void {
  const where = `phase ${line.phase_key}, scene ${line.scene_id}, round ${line.rain_id}`;
  const sum = (pick: (slice: SliceRow) => bigint) => own.reduce((total, slice) => total + pick(slice), 0n);
  const leased = sum((slice) => (slice.state === 'closed' ? 0n : slice.packets));
  const leasedFen = sum((slice) => (slice.state === 'closed' ? 0n : slice.fen));
  const given = sum((slice) => slice.given_packets ?? 0n);
  const givenFen = sum((slice) => slice.given_fen ?? 0n);
  if (
    line.remaining_packets + leased + given !== line.total_packets ||
    line.remaining_fen + leasedFen + givenFen !== line.total_fen
  ) {
    findings.add(
      'I4',
      'a budget does not add up',
      where,
      `${line.remaining_packets} remain, ${leased} leased, ${given} given of ${line.total_packets}`,
    );
  }
  if (
    line.leased_packets !== leased ||
    line.given_packets !== given ||
    line.leased_fen !== leasedFen ||
    line.given_fen !== givenFen
  )
    findings.add('I4', 'a budget’s own counts are wrong', where);
}

interface Total {
  readonly fen?: number;
  readonly packets: number;
}
interface TotalsFile {
  readonly budget?: Total;
  readonly rewards: {
    id: string;
    budget?: Total;
    items: { id: string; budget?: Total; scenes: { id: string; budget: Total }[] }[];
  }[];
  readonly phases: { id: string; budgets?: (Total & { scene: string })[] }[];
}

/**
 * What was promised is within every total of the campaign's own file (I4), scene, item, reward and campaign, whatever
 * the lines in the database say. A file may be applied anew: some version must have allowed it.
 */
export function checkFileTotals(
  orders: ReadonlyMap<string, JournalEntry>,
  catalog: Catalog,
  findings: Findings,
): void {
  const versions = new Map<string, TotalsFile[]>();
  for (const { campaign_id: id, source } of catalog.campaigns)
    versions.set(id, [...(versions.get(id) ?? []), parse(source) as TotalsFile]);
  const phases = new Map<string, Map<string, { packets: number; fen: bigint }>>();
  for (const { order, isVoid } of orders.values()) {
    if (isVoid) continue;
    const key = `${order.campaign}/${order.stage}`;
    const scenes = phases.get(key) ?? new Map<string, { packets: number; fen: bigint }>();
    phases.set(key, scenes);
    const sum = scenes.get(order.scene) ?? { packets: 0, fen: 0n };
    scenes.set(order.scene, { packets: sum.packets + 1, fen: sum.fen + order.fen });
  }
  for (const [key, given] of phases) {
    const [campaign, stage] = [key.slice(0, key.indexOf('/')), key.slice(key.indexOf('/') + 1)];
    const found = (versions.get(campaign) ?? []).map((file) => overspent(file, stage, given));
    const newest = found[0] ?? [];
    if (found.some((over) => over.length === 0)) continue;
    for (const { path, detail } of newest)
      findings.add('I4', 'more was promised than a total allows', `${key} ${path}`, detail);
  }
}

/** The totals of one version of a file that these sums by scene exceed. */
function overspent(
  file: TotalsFile,
  stage: string,
  given: ReadonlyMap<string, { packets: number; fen: bigint }>,
): { readonly path: string; readonly detail: string }[] {
  const own = new Map(
    file.phases.find(({ id }) => id === stage)?.budgets?.map((total) => [total.scene, total] as const),
  );
  const over: { path: string; detail: string }[] = [];
  const check = (path: string, total: Total | undefined, scenes: readonly { readonly id: string }[]) => {
    const sums = scenes.map(({ id }) => given.get(id) ?? { packets: 0, fen: 0n });
    const packets = sums.reduce((sum, one) => sum + one.packets, 0);
    const fen = sums.reduce((sum, one) => sum + one.fen, 0n);
    if (total && (packets > total.packets || (total.fen !== undefined && fen > BigInt(total.fen))))
      over.push({ path, detail: `${packets} packets, ${fen} fen of ${total.packets}, ${total.fen ?? '–'}` });
  };
  const items = file.rewards.flatMap(({ items }) => items);
  check(
    '/',
    file.budget,
    items.flatMap(({ scenes }) => scenes),
  );
  for (const reward of file.rewards) {
    check(
      `/${reward.id}`,
      reward.budget,
      reward.items.flatMap(({ scenes }) => scenes),
    );
    for (const item of reward.items) {
      check(`/${reward.id}/${item.id}`, item.budget, item.scenes);
      for (const scene of item.scenes) check(scene.id, own.get(scene.id) ?? scene.budget, [scene]);
    }
  }
  return over;
}
