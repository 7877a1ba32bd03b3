import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Scene } from '../../campaign/snapshot.ts';
import type { UpstreamCredential } from '../../engines/ports.ts';
import { isRefusal, type Refusal, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, AppId, RainId } from '../../vocabulary/ids.ts';
import type { Clock, InstantMs } from '../../vocabulary/instant.ts';
import type { Order } from '../../vocabulary/order.ts';
import { formatOrderNumber } from '../../vocabulary/order-number.ts';
import type { Granted, Granter } from './grant.ts';
import type { SceneSlices } from './slices.ts';

export interface UpstreamGrant {
  readonly campaign: CampaignSnapshot;
  readonly scene: Scene;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly actId: ActId;
  /** Needed for a `given` scene, not taken for others. */
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs | undefined;
}

export interface UpstreamGranter {
  grant(credential: UpstreamCredential, ask: UpstreamGrant): Promise<Granted | Refusal>;
}

export interface UpstreamGranterOptions {
  readonly granter: Granter;
  readonly slices: Pick<SceneSlices, 'take' | 'putBack'>;
  readonly clock: Clock;
}

const DRAWN_AHEAD_MS_MAX = 5_000;

/** Grants for services upstream: they name campaign and scene, the draw's time names the phase, a slice pays. */
export function createUpstreamGranter(options: UpstreamGranterOptions): UpstreamGranter {
  const { granter, slices, clock } = options;

  return {
    async grant(credential, ask) {
      const { campaign, scene } = ask;
      if (credential.campaignId !== campaign.id || !credential.scenes.has(scene.id))
        return refuse('forbidden', `this credential is not for scene ${scene.id}`);
      const nowMs = clock.now();
      const drawnAtMs = ask.drawnAtMs ?? nowMs;
      if (drawnAtMs > nowMs + DRAWN_AHEAD_MS_MAX) return refuse('malformed', 'drawnAtMs lies in the future');
      const phase = phaseAt(campaign, drawnAtMs);
      if (!phase) return refuse('phase-closed', `campaign ${campaign.id} has no phase at ${drawnAtMs}`);
      const amountRefusal = checkAmount(scene, ask.amountFen);
      if (amountRefusal) return amountRefusal;

      const parts = {
        actId: ask.actId,
        sceneId: scene.id,
        rainId: ask.rainId,
        awardType: scene.award,
        stage: phase.id,
      };
      const orderNumber = formatOrderNumber(parts);
      const name = { actId: ask.actId, phaseKey: phase.key, orderNumber };
      const earlier = await granter.find(name);
      if (earlier) return again(earlier, ask);
      const taken = await slices.take(scene, phase.key, ask.amountFen);
      if (isRefusal(taken)) return taken;
      const { grantUntilMs, ...paid } = taken;
      const order: Order = {
        orderNumber,
        appId: ask.appId,
        actId: ask.actId,
        campaignId: campaign.id,
        phaseId: phase.id,
        phaseKey: phase.key,
        sceneId: scene.id,
        rainId: ask.rainId,
        awardType: scene.award,
        drawnAtMs,
        ...paid,
      };
      const granted = await granter.grant(order, grantUntilMs);
      if (isRefusal(granted)) slices.putBack(taken);
      // Two requests with one number at the same moment: the other took another unit.
      if (isRefusal(granted) && granted.refused === 'order-conflict') {
        const first = await granter.find(name);
        return first ? again(first, ask) : granted;
      }
      return granted;
    },
  };
}

function checkAmount(scene: Scene, amountFen: Fen | undefined): Refusal | undefined {
  if (scene.amount.rule !== 'given') {
    return amountFen === undefined
      ? undefined
      : refuse('amount-invalid', `the amounts of scene ${scene.id} are not named by callers`);
  }
  if (amountFen === undefined)
    return refuse('amount-invalid', `a grant of scene ${scene.id} names its amountFen`);
  return amountFen > scene.packetCapFen
    ? refuse('amount-over-cap', `a packet of scene ${scene.id} is at most ${scene.packetCapFen} fen`)
    : undefined;
}

/** The first answer, if this asks for the same: what the caller named must be what it named then. */
function again(first: Granted, ask: UpstreamGrant): Granted | Refusal {
  const same =
    (ask.amountFen === undefined || ask.amountFen === first.order.amountFen) &&
    (ask.drawnAtMs === undefined || ask.drawnAtMs === first.order.drawnAtMs) &&
    ask.appId === first.order.appId;
  return same
    ? { ...first, replayed: true }
    : refuse('order-conflict', `order ${first.order.orderNumber} was granted with other content`);
}
