import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Phase, Scene } from '../../campaign/snapshot.ts';
import type { OrderName, ReissueChecked, ReissueLineUnchecked } from '../../engines/ports.ts';
import type { ActId, AppId } from '../../vocabulary/ids.ts';
import { formatOrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

export interface CheckDeps {
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly personsFor: (
    users: readonly { readonly appId: AppId; readonly userKey: Uint8Array }[],
  ) => Promise<readonly { readonly person: Person }[]>;
  /** Whether each order stands in the log or in the ledger. */
  readonly areGiven: (orders: readonly OrderName[]) => Promise<readonly boolean[]>;
}

type Wrong = Extract<ReissueChecked, { readonly wrong: string }>;

interface Placed extends ReissueLineUnchecked {
  readonly scene: Scene;
  readonly phase: Phase;
}

/**
 * Finds out who lines are about, and who of them has it already. Moves nothing. Many lines are two questions, one to
 * the identities and one to what was given: asked line by line it was 2,400 a second, and each new person a commit.
 */
export async function checkLines(
  deps: CheckDeps,
  lines: readonly ReissueLineUnchecked[],
): Promise<readonly ReissueChecked[]> {
  const placed = lines.map((line) => placeOf(deps, line));
  const right = placed.flatMap((line) => ('wrong' in line ? [] : [line]));
  const persons = (await deps.personsFor(right)).map(({ person }) => person);
  // They may have got it in another app, before the two were known to be one person.
  const names = right.flatMap((line, index) =>
    idsOf(persons[index]!).map((actId) => ({ line: line.line, ...nameOf(line, actId) })),
  );
  const areGiven = await deps.areGiven(names);
  const given = new Set(names.flatMap(({ line }, index) => (areGiven[index] ? [line] : [])));
  const checked = new Map(
    right.map((line, index) => {
      const before = given.has(line.line);
      return [line.line, { line: line.line, ...nameOf(line, persons[index]!.actId), before }];
    }),
  );
  return placed.map((line) => ('wrong' in line ? line : checked.get(line.line)!));
}

function placeOf({ campaign: campaignOf }: CheckDeps, line: ReissueLineUnchecked): Placed | Wrong {
  const campaign = campaignOf(line.campaignId);
  const scene = campaign?.scenes.get(line.sceneId);
  const phase = campaign && phaseAt(campaign, line.drawnAtMs);
  return scene && phase
    ? { ...line, scene, phase }
    : { line: line.line, wrong: 'the campaign was changed while the list came in; bring it again' };
}

const nameOf = ({ scene, phase, rainId }: Placed, actId: ActId): OrderName => ({
  actId,
  phaseKey: phase.key,
  orderNumber: formatOrderNumber({
    actId,
    sceneId: scene.id,
    rainId,
    awardType: scene.award,
    stage: phase.id,
  }),
});
