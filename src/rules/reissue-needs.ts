import type { Scene } from '../campaign/snapshot.ts';
import type { BudgetLine, ReissueNeed } from '../engines/ports.ts';
import { type Fen, sumFen } from '../vocabulary/fen.ts';

/** What the lines of one scene and phase that are still to be given ask of a budget. */
export interface NeedAgainstBudget extends ReissueNeed {
  /** What the lines sum to; of a scene that cuts its own amounts only the number of packets is known. */
  readonly fen: Fen | undefined;
  readonly remaining: { readonly fen: Fen; readonly packets: number } | undefined;
  /** Whether the scene's budget, and every total above it, has that much left at this moment. */
  readonly suffices: boolean;
}

/** Sets needs against what remains. `sceneOf`: undefined for a scene that is no longer in force, which gets nothing. */
export function needsAgainstBudgets(
  needs: readonly ReissueNeed[],
  sceneOf: (need: ReissueNeed) => Scene | undefined,
  budgets: readonly BudgetLine[],
): NeedAgainstBudget[] {
  const sized = needs.map((need) => ({ need, scene: sceneOf(need), fen: fenOf(need, sceneOf(need)) }));
  const remainingOf = (phaseKey: number, at: string) =>
    budgets.find((line) => line.phaseKey === phaseKey && line.sceneId === at && line.rainId === undefined)
      ?.remaining;
  /** Everything of this phase that a total stands above. */
  const under = (phaseKey: number, path: string) =>
    sized.filter(({ need, scene }) => need.phaseKey === phaseKey && scene && pathsOf(scene).includes(path));
  return sized.map(({ need, scene, fen }) => {
    const remaining = remainingOf(need.phaseKey, need.sceneId);
    const aboveSuffice = (scene ? pathsOf(scene) : []).every((path) => {
      const total = remainingOf(need.phaseKey, path);
      const all = under(need.phaseKey, path);
      return (
        !total ||
        (total.packets >= all.reduce((sum, one) => sum + one.need.lines, 0) &&
          total.fen >= sumFen(all.map((one) => one.fen ?? (0n as Fen))))
      );
    });
    const suffices =
      remaining !== undefined && remaining.packets >= need.lines && remaining.fen >= (fen ?? 0n);
    return { ...need, fen, remaining, suffices: suffices && aboveSuffice };
  });
}

function fenOf(need: ReissueNeed, scene: Scene | undefined): Fen | undefined {
  if (!scene || scene.amount.rule === 'split') return undefined;
  return scene.amount.rule === 'given' ? need.namedFen : ((scene.amount.fen * BigInt(need.lines)) as Fen);
}

const pathsOf = (scene: Scene): string[] => ['/', `/${scene.rewardId}`, `/${scene.rewardId}/${scene.itemId}`];
