import { checkPayable, checkScene, type Say } from './check-scene.ts';
import { oneOf } from './nearest.ts';
import type { PathPart, PathProblem } from './problems.ts';
import type { CampaignDraft, PhaseDraft, RainDraft, SceneDraft } from './schema.ts';
import { formatLike, parseDurationMs, parseInstant } from './times.ts';

/**
 * What a file may still get wrong when its shape is right: times, references, overlaps, budgets that can't be paid out.
 * Of a file that is not well formed, the parts that are: a part that can't be looked into is left out, not the others.
 */
export function checkMeaning(
  draft: CampaignDraft,
  { isWellFormed }: { isWellFormed: boolean },
): PathProblem[] {
  const problems: PathProblem[] = [];
  const say: Say = (path, message, expected) => problems.push({ path, message, expected });
  const part = (check: () => void) => {
    try {
      check();
    } catch (error) {
      if (isWellFormed) throw error;
    }
  };
  const uniqueIds = (entries: () => readonly { readonly id: string | number }[], list: string) =>
    part(() =>
      unique(
        entries().map(({ id }) => id),
        (at) => [list, at, 'id'],
        say,
      ),
    );
  part(() => checkDuration(draft.ticketTtl, ['ticketTtl'], say));
  uniqueIds(() => draft.apps, 'apps');
  part(() =>
    unique(
      draft.apps.map((app) => app.name),
      (at) => ['apps', at, 'name'],
      say,
    ),
  );
  uniqueIds(() => draft.sponsors, 'sponsors');
  uniqueIds(() => draft.phases, 'phases');
  const sponsors = new Set<string>();
  part(() => {
    for (const { id } of draft.sponsors) sponsors.add(id);
  });
  const byId = new Map<string, SceneDraft>();
  part(() => checkScenes(scenesOf(draft), byId, { sponsors, part, say }));
  part(() => {
    for (const [at, phase] of draft.phases.entries())
      part(() => checkPhase(phase, ['phases', at], byId, { part, say }));
  });
  part(() => checkPhasesApart(draft.phases, say));
  return problems;
}

function checkScenes(
  scenes: ReturnType<typeof scenesOf>,
  byId: Map<string, SceneDraft>,
  { sponsors, part, say }: { sponsors: ReadonlySet<string>; part: Part; say: Say },
): void {
  for (const { scene } of scenes) part(() => byId.set(scene.id, scene));
  part(() =>
    unique(
      scenes.map(({ scene }) => scene.id),
      (at) => [...scenes[at]!.path, 'id'],
      say,
    ),
  );
  for (const { scene, path } of scenes) part(() => checkScene(scene, path, { sponsors, scenes: byId, say }));
}

/** Runs a check; one that meets a part of the wrong shape is over, the others go on. */
type Part = (check: () => void) => void;

export const scenesOf = (
  draft: CampaignDraft,
): { scene: SceneDraft; path: PathPart[]; rewardId: string; itemId: string }[] =>
  draft.rewards.flatMap((reward, r) =>
    reward.items.flatMap((item, i) =>
      item.scenes.map((scene, s) => ({
        scene,
        path: ['rewards', r, 'items', i, 'scenes', s],
        rewardId: reward.id,
        itemId: item.id,
      })),
    ),
  );

function unique(ids: readonly (string | number)[], pathOf: (at: number) => PathPart[], say: Say): void {
  const seen = new Set<string | number>();
  for (const [at, id] of ids.entries()) {
    if (id !== undefined && seen.has(id)) say(pathOf(at), `"${id}" is there twice`, 'each id once');
    seen.add(id);
  }
}

function checkDuration(text: string, path: readonly PathPart[], say: Say): number | undefined {
  const ms = parseDurationMs(text);
  if (ms === undefined)
    say(path, `"${text}" is no duration`, 'ISO 8601 and more than nothing, e.g. PT90S, PT2M, PT1H30M');
  return ms;
}

function checkInstant(text: string, path: readonly PathPart[], say: Say): number | undefined {
  const at = parseInstant(text);
  if (at === undefined)
    say(
      path,
      `"${text}" is no moment`,
      'a day that exists, with time and offset, e.g. 2027-02-05T20:00:00+08:00',
    );
  return at;
}

interface Window {
  readonly from: number;
  readonly to: number;
  readonly path: readonly PathPart[];
  readonly name: string;
  /** As it is written. */
  readonly startsAt: string;
}

function checkPhase(
  phase: PhaseDraft,
  path: readonly PathPart[],
  scenes: ReadonlyMap<string, SceneDraft>,
  { part, say }: { part: Part; say: Say },
): void {
  const opens = checkInstant(phase.opensAt, [...path, 'opensAt'], say);
  const closes = checkInstant(phase.closesAt, [...path, 'closesAt'], say);
  if (opens && closes && closes <= opens)
    say([...path, 'closesAt'], 'the phase closes before it opens', `a moment after ${phase.opensAt}`);
  part(() => checkBudgets(phase, path, scenes, say));
  const windows: Window[] = [];
  for (const [at, rain] of phase.rains.entries())
    part(() => windows.push(...checkRain(rain, [...path, 'rains', at], say)));
  for (const [at, rain] of phase.rains.entries())
    part(() => {
      for (const [nth, deal] of rain.deals.entries())
        part(() => checkDeal(deal, [...path, 'rains', at, 'deals', nth], scenes, say));
    });
  for (const window of windows) {
    if (opens && closes && (window.from < opens || window.to > closes))
      say(
        window.path,
        `${window.name} is not inside its phase`,
        `from ${phase.opensAt} to ${phase.closesAt}`,
      );
  }
  checkApart(windows, say);
  part(() => checkRainIds(phase, path, say));
  part(() => checkDealt(phase, path, scenes, say));
}

/** The scene that a phase names; undefined, and said, when there is none. */
function knownScene(
  id: string,
  path: readonly PathPart[],
  scenes: ReadonlyMap<string, SceneDraft>,
  say: Say,
): SceneDraft | undefined {
  const scene = scenes.get(id);
  if (!scene && scenes.size > 0) say(path, `there is no scene "${id}"`, oneOf(id, [...scenes.keys()]));
  return scene;
}

function checkBudgets(
  phase: PhaseDraft,
  path: readonly PathPart[],
  scenes: ReadonlyMap<string, SceneDraft>,
  say: Say,
): void {
  const budgets = phase.budgets ?? [];
  for (const [at, budget] of budgets.entries()) {
    const scene = knownScene(budget.scene, [...path, 'budgets', at, 'scene'], scenes, say);
    if (scene) checkPayable(scene, budget, [...path, 'budgets', at], say);
  }
  unique(
    budgets.map((budget) => budget.scene),
    (at) => [...path, 'budgets', at, 'scene'],
    say,
  );
}

function checkDeal(
  deal: RainDraft['deals'][number],
  path: readonly PathPart[],
  scenes: ReadonlyMap<string, SceneDraft>,
  say: Say,
): void {
  const scene = knownScene(deal.scene, [...path, 'scene'], scenes, say);
  if (!scene) return;
  if (scene.amount.rule === 'given')
    say(
      [...path, 'scene'],
      `scene "${deal.scene}" is granted by upstreams`,
      'a scene whose amount is split, fixed or a piece',
    );
  else checkPayable(scene, { fen: deal.budgetFen, packets: deal.packets }, path, say, 'budgetFen');
}

function checkRain(rain: RainDraft, path: readonly PathPart[], say: Say): Window[] {
  const starts = checkInstant(rain.startsAt, [...path, 'startsAt'], say);
  const lasts = checkDuration(rain.lasts, [...path, 'lasts'], say);
  const isSeries = rain.firstId !== undefined || rain.every !== undefined || rain.count !== undefined;
  const every = rain.every === undefined ? undefined : checkDuration(rain.every, [...path, 'every'], say);
  if (isSeries === (rain.id !== undefined))
    say(path, 'it is neither one round nor a series', 'either id, or firstId, every and count');
  if (isSeries && (rain.firstId === undefined || rain.every === undefined || rain.count === undefined)) {
    say(path, 'a series of rounds is not complete', 'firstId, every and count together');
  }
  if (every && lasts && lasts > every)
    say([...path, 'lasts'], 'the rounds of the series overlap', `at most ${rain.every}`);
  if ((rain.firstId ?? 0) + (rain.count ?? 0) - 1 > 2 ** 31 - 1)
    say([...path, 'count'], 'the last round’s id is too large', 'ids up to 2147483647');
  unique(
    rain.deals.map((deal) => deal.scene),
    (at) => [...path, 'deals', at, 'scene'],
    say,
  );
  if (starts === undefined || lasts === undefined) return [];
  const span = every && rain.count ? every * (rain.count - 1) + lasts : lasts;
  return [
    {
      from: starts,
      to: starts + span,
      path: [...path, 'startsAt'],
      name: rain.id === undefined ? 'the series of rounds' : `round ${rain.id}`,
      startsAt: rain.startsAt,
    },
  ];
}

function checkApart(windows: readonly Window[], say: Say): void {
  const sorted = [...windows].sort((a, b) => a.from - b.from);
  for (let at = 1; at < sorted.length; at += 1) {
    const before = sorted[at - 1]!;
    const now = sorted[at]!;
    if (now.from < before.to)
      say(
        now.path,
        `${now.name} begins before ${before.name} ends`,
        `not before ${formatLike(before.to, now.startsAt)}`,
      );
  }
}

function checkPhasesApart(phases: readonly PhaseDraft[], say: Say): void {
  const windows = phases.flatMap((phase, at) => {
    const from = parseInstant(phase.opensAt);
    const to = parseInstant(phase.closesAt);
    return from && to && to > from
      ? [{ from, to, path: ['phases', at, 'opensAt'], name: `phase ${phase.id}`, startsAt: phase.opensAt }]
      : [];
  });
  checkApart(windows, say);
}

function checkRainIds(phase: PhaseDraft, path: readonly PathPart[], say: Say): void {
  const ranges = phase.rains
    .map((rain, at) => ({
      first: rain.id ?? rain.firstId ?? 0,
      count: rain.id === undefined ? (rain.count ?? 1) : 1,
      at,
    }))
    .sort((a, b) => a.first - b.first);
  for (let at = 1; at < ranges.length; at += 1) {
    const before = ranges[at - 1]!;
    const now = ranges[at]!;
    if (now.first < before.first + before.count)
      say(
        [...path, 'rains', now.at],
        `round id ${now.first} is there twice`,
        'each round id once in a phase',
      );
  }
}

/** Single rounds must fit their scene's total; a series may promise more than the total: then it ends when that does. */
function checkDealt(
  phase: PhaseDraft,
  path: readonly PathPart[],
  scenes: ReadonlyMap<string, SceneDraft>,
  say: Say,
): void {
  const dealt = new Map<string, { fen: number; packets: number }>();
  for (const rain of phase.rains) {
    if (rain.id === undefined) continue;
    for (const deal of rain.deals) {
      const sum = dealt.get(deal.scene) ?? { fen: 0, packets: 0 };
      dealt.set(deal.scene, { fen: sum.fen + (deal.budgetFen ?? 0), packets: sum.packets + deal.packets });
    }
  }
  for (const [id, sum] of dealt) {
    const budget = phase.budgets?.find((one) => one.scene === id) ?? scenes.get(id)?.budget;
    if (budget && (sum.fen > (budget.fen ?? 0) || sum.packets > budget.packets)) {
      say(
        [...path, 'rains'],
        `the rounds give ${sum.packets} packets, ${sum.fen} fen of scene "${id}"; its budget is ${budget.packets} packets, ${budget.fen ?? 0} fen`,
        'rounds that sum to no more than the budget',
      );
    }
  }
}
