import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Scene } from '../../campaign/snapshot.ts';
import type { ReissueLineDue, ReissueSettled, UpstreamCredential } from '../../engines/ports.ts';
import { ERROR_KINDS } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, RetryableFault } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, AppId, PhaseKey, RainId, SceneId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import { formatOrderNumber, type OrderNumber, parseOrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

/** What 3-grant answers to an upstream, as far as a list needs to know. */
export type GrantForUpstream = (
  credential: UpstreamCredential,
  ask: {
    readonly campaign: CampaignSnapshot;
    readonly scene: Scene;
    readonly rainId: RainId;
    readonly appId: AppId;
    readonly person: Person;
    readonly amountFen: Fen | undefined;
    readonly drawnAtMs: InstantMs | undefined;
  },
) => Promise<
  | {
      readonly order: {
        readonly orderNumber: OrderNumber;
        readonly amountFen: Fen;
        readonly insteadOf?: SceneId;
      };
      readonly replayed: boolean;
    }
  | Refusal
>;

export interface AskDeps {
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly grant: GrantForUpstream;
  /** Who an id is by now: what was given under another app's id before they were joined is theirs too. */
  readonly personOf: (actId: ActId) => Promise<Person>;
  readonly isCredited: (actId: ActId, phaseKey: PhaseKey, orderNumber: OrderNumber) => Promise<boolean>;
}

/** Settled; or to be asked again: at once known not to be given (`exhausted`), or not known (`unknown`). */
export type ReissueAnswer =
  | { readonly answer: 'settled'; readonly settled: ReissueSettled }
  | { readonly answer: 'exhausted'; readonly detail: string }
  | { readonly answer: 'unknown'; readonly detail: string; readonly delayMs: number };

const AGAIN_SOON_MS = 100;

/** One line to 3-grant, as an upstream of every scene would ask. Throws only what no second asking would mend. */
export async function askForLine(deps: AskDeps, line: ReissueLineDue): Promise<ReissueAnswer> {
  try {
    // The book may have forgotten what is long credited; the ledger never does.
    const person = await deps.personOf(line.actId);
    const isOld = line.askedBefore || line.givenBefore;
    if (isOld && (await isCreditedToAny(deps, person, line)))
      return settled(line, { outcome: line.givenBefore ? 'already' : 'granted' });
    const campaign = deps.campaign(line.campaignId);
    const scene = campaign?.scenes.get(line.sceneId);
    if (!campaign || !scene || numberNow(campaign, scene, line) !== line.orderNumber)
      return refused(line, 'campaign-changed: its phases or scenes are not those that were approved');
    const credential = {
      name: 'reissue',
      campaignId: campaign.id,
      scenes: new Set(campaign.scenes.keys()),
    };
    const { rainId, appId, amountFen, drawnAtMs } = line;
    const granted = await deps.grant(credential, {
      campaign,
      scene,
      rainId,
      appId,
      // As it was checked and approved: what a join has made of them since moves the money, not the order.
      person,
      amountFen,
      drawnAtMs,
    });
    return isRefusal(granted) ? ofRefusal(line, granted) : ofGrant(line, granted);
  } catch (error) {
    if (!(error instanceof RetryableFault)) throw error;
    return { answer: 'unknown', detail: error.message, delayMs: error.delayMs };
  }
}

async function isCreditedToAny(deps: AskDeps, person: Person, line: ReissueLineDue): Promise<boolean> {
  const parts = parseOrderNumber(line.orderNumber)!;
  const found = await Promise.all(
    idsOf(person).map((actId) =>
      deps.isCredited(actId, line.phaseKey, formatOrderNumber({ ...parts, actId })),
    ),
  );
  return found.includes(true);
}

function ofGrant(
  line: ReissueLineDue,
  {
    order,
    replayed,
  }: {
    readonly order: {
      readonly orderNumber: OrderNumber;
      readonly amountFen: Fen;
      readonly insteadOf?: SceneId;
    };
    readonly replayed: boolean;
  },
): ReissueAnswer {
  // A repeat of what this job itself began before it was interrupted is its own grant.
  const isOurs = !replayed || (line.askedBefore && !line.givenBefore);
  return settled(line, {
    outcome: isOurs ? 'granted' : 'already',
    orderNumber: order.orderNumber,
    amountFen: order.amountFen,
    ...(order.insteadOf === undefined ? {} : { reason: 'consolation: nothing was left' }),
  });
}

function ofRefusal(line: ReissueLineDue, refusal: Refusal): ReissueAnswer {
  if (refusal.refused === 'order-conflict')
    return settled(line, { outcome: 'already', reason: 'given before with another amount, time or app' });
  if (refusal.refused === 'budget-exhausted') return { answer: 'exhausted', detail: refusal.detail };
  if (ERROR_KINDS[refusal.refused].retryable)
    return { answer: 'unknown', detail: refusal.detail, delayMs: AGAIN_SOON_MS };
  return refused(line, `${refusal.refused}: ${refusal.detail}`);
}

/** The order that the campaign, as it is now, would make of the line. */
function numberNow(campaign: CampaignSnapshot, scene: Scene, line: ReissueLineDue): OrderNumber | undefined {
  const phase = phaseAt(campaign, line.drawnAtMs);
  return phase?.key === line.phaseKey
    ? formatOrderNumber({
        actId: line.actId,
        sceneId: scene.id,
        rainId: line.rainId,
        awardType: scene.award,
        stage: phase.id,
      })
    : undefined;
}

const settled = (line: ReissueLineDue, end: Omit<ReissueSettled, 'line'>): ReissueAnswer => ({
  answer: 'settled',
  settled: { line: line.line, ...end },
});

const refused = (line: Pick<ReissueLineDue, 'line'>, reason: string): ReissueAnswer => ({
  answer: 'settled',
  settled: { line: line.line, outcome: 'refused', reason },
});
