import { phaseAt } from '../../campaign/lookup.ts';
import type { CampaignSnapshot, Phase, Scene } from '../../campaign/snapshot.ts';
import type { UpstreamCredential } from '../../engines/ports.ts';
import { recent } from '../../guard/recent.ts';
import { ERROR_KINDS } from '../../protocol/error-kinds.ts';
import { isRefusal, type Refusal, RetryableFault, refuse } from '../../protocol/failures.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, AppId, RainId } from '../../vocabulary/ids.ts';
import type { Clock, InstantMs } from '../../vocabulary/instant.ts';
import { type Order, orderKey } from '../../vocabulary/order.ts';
import { formatOrderNumber } from '../../vocabulary/order-number.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';
import { type Granted, type Granter, type GrantTurn, isUnknown, notLookedUp } from './grant.ts';
import type { SceneSlices } from './slices.ts';

export interface UpstreamGrant {
  readonly campaign: CampaignSnapshot;
  readonly scene: Scene;
  readonly rainId: RainId;
  readonly appId: AppId;
  readonly person: Person;
  /** Needed for a `given` scene, not taken for others. */
  readonly amountFen: Fen | undefined;
  readonly drawnAtMs: InstantMs | undefined;
}

/** What was given: of the scene that was asked for, or of its consolation (`order.insteadOf` is the asked one then). */
export interface UpstreamGranter {
  /**
   * The first answer to an ask (person, scene, round, phase) is the answer to every repeat, whichever scene gave it.
   * Throws a RetryableFault when it may or may not have been granted; the same ask again settles it.
   */
  grant(credential: UpstreamCredential, ask: UpstreamGrant): Promise<Granted | Refusal>;
}

export interface UpstreamGranterOptions {
  readonly granter: Pick<Granter, 'inTurn'>;
  readonly slices: Pick<SceneSlices, 'take' | 'putBack'>;
  readonly clock: Clock;
}

/** An ask that may be granted: its phase is known, its amount fits. */
interface Draw extends UpstreamGrant {
  readonly phase: Phase;
  readonly atMs: InstantMs;
}

/** A promise of which nobody knows whether it was made. */
interface Unsettled {
  readonly order: Order;
  readonly untilMs: InstantMs;
}

const DRAWN_AHEAD_MS_MAX = 5_000;
const UNSETTLED_MAX = 50_000;
const ASK_AGAIN_MS = 1_000;

/**
 * Grants for services upstream: they name campaign and scene, the draw's time names the phase, a slice pays. All of an
 * ask is done in the person's turn, so that of two at the same moment, at two gateways too, one can't find the last
 * piece and the other a consolation.
 */
export function createUpstreamGranter(options: UpstreamGranterOptions): UpstreamGranter {
  const { granter, slices, clock } = options;
  /** By the name of what was asked for, and by its own: until it is settled, nothing else is tried in its place. */
  const unsettled = recent<string, Unsettled>(UNSETTLED_MAX);

  /**
   * What this ask was answered with before: its own scene's order, or the consolation that was given in its place. Under
   * whichever id of the person: two apps may have got an answer each before they were known to be of one person, and
   * each goes on getting its own. Throws when there may be one under an alias that can't be looked up: what is granted
   * anew under another id, no key would stop.
   */
  async function firstAnswer(turn: GrantTurn, draw: Draw): Promise<Granted | undefined> {
    const found = (await Promise.all(idsOf(draw.person).map((actId) => answerTo(turn, draw, actId)))).flatMap(
      (granted) => granted ?? [],
    );
    const first = found.find(({ order }) => order.appId === draw.appId) ?? found[0];
    if (!first && draw.person.aliases.length > 0 && !turn.isSure)
      throw notLookedUp('what was granted before');
    return first;
  }

  async function answerTo(turn: GrantTurn, draw: Draw, actId: ActId): Promise<Granted | undefined> {
    const own = await turn.find(nameOf(draw, draw.scene, actId));
    if (own) return own;
    const consolation = consolationOf(draw);
    const other = consolation && (await turn.find(nameOf(draw, consolation, actId)));
    return other?.order.insteadOf === draw.scene.id ? other : undefined;
  }

  async function grantInTurn(turn: GrantTurn, draw: Draw): Promise<Granted | Refusal> {
    const asked = askedOf(draw);
    const open = asked.flatMap((name) => unsettled.get(name) ?? []);
    // What may stand in the log is in no book yet.
    const first = await firstAnswer(turn, draw);
    if (first) for (const name of asked) unsettled.delete(name);
    if (first) return again(first, draw);
    if (open[0]) return settle(turn, open[0], draw);
    const own = await give(turn, draw, draw.scene);
    if (!isRefusal(own) || own.refused !== 'budget-exhausted') return own;
    // "Nothing left" would be a lie to whoever has it already, and a consolation would come on top.
    if (!turn.isSure) throw notLookedUp('nothing is left, and what was granted before');
    return (await instead(turn, draw)) ?? own;
  }

  /** Undefined when there is no consolation, or none can be had. */
  async function instead(turn: GrantTurn, draw: Draw): Promise<Granted | Refusal | undefined> {
    const consolation = consolationOf(draw);
    const given = consolation && (await give(turn, draw, consolation));
    const isNone = given && isRefusal(given) && !ERROR_KINDS[given.refused].retryable;
    return isNone ? undefined : given;
  }

  async function give(turn: GrantTurn, draw: Draw, scene: Scene): Promise<Granted | Refusal> {
    const isOwn = scene.id === draw.scene.id;
    const taken = await slices.take(scene, draw.phase.key, isOwn ? draw.amountFen : undefined);
    if (isRefusal(taken)) return taken;
    const { unit, amountFen, grantUntilMs } = taken;
    const order: Order = {
      ...nameOf(draw, scene),
      appId: draw.appId,
      campaignId: draw.campaign.id,
      phaseId: draw.phase.id,
      sceneId: scene.id,
      rainId: draw.rainId,
      awardType: scene.award,
      drawnAtMs: draw.atMs,
      unit,
      amountFen,
      ...(isOwn ? {} : { insteadOf: draw.scene.id }),
    };
    const granted = await promise(turn, order, grantUntilMs, draw);
    if (isRefusal(granted)) slices.putBack(taken, granted);
    if (!isRefusal(granted) || granted.refused !== 'order-conflict') return granted;
    // This number was granted to another ask: scenes may share a consolation.
    const first = await turn.find(order);
    if (!first) return granted;
    return isOwn || first.order.insteadOf === draw.scene.id
      ? again(first, draw)
      : refuse('budget-exhausted', `scene ${draw.scene.id} has nothing left, and its consolation was given`);
  }

  async function promise(
    turn: GrantTurn,
    order: Order,
    untilMs: InstantMs,
    draw: Draw,
  ): Promise<Granted | Refusal> {
    try {
      return await turn.grant(order, untilMs);
    } catch (error) {
      if (isUnknown(error))
        for (const name of [nameOf(draw, draw.scene), order])
          unsettled.set(orderKey(name), { order, untilMs });
      throw error;
    }
  }

  /**
   * The very same order once more: if it stands in the log already, a second record of it moves nothing. Its slice may be
   * closed by now: then it was counted, or it is void and the ask is a new one.
   */
  async function settle(
    turn: GrantTurn,
    { order, untilMs }: Unsettled,
    draw: Draw,
  ): Promise<Granted | Refusal> {
    const conflict = conflictOf(order, draw);
    if (conflict) return conflict;
    const granted = await promise(turn, order, untilMs, draw);
    const isClosed = isRefusal(granted) && granted.refused === 'slice-fenced';
    const settled = isClosed ? await turn.settle(order) : granted;
    if (settled && isRefusal(settled))
      throw new RetryableFault('outcome-unknown', `not settled yet: ${settled.detail}`, ASK_AGAIN_MS);
    for (const name of askedOf(draw)) unsettled.delete(name);
    return settled ?? grantInTurn(turn, draw);
  }

  return {
    async grant(credential, ask) {
      const draw = admit(credential, ask, clock.now());
      if (isRefusal(draw)) return draw;
      return granter.inTurn(draw.person, draw.phase.key, (turn) => grantInTurn(turn, draw));
    },
  };
}

/** Whether this caller may have this, at this time and of this amount. */
function admit(credential: UpstreamCredential, ask: UpstreamGrant, nowMs: InstantMs): Draw | Refusal {
  const { campaign, scene } = ask;
  if (credential.campaignId !== campaign.id || !credential.scenes.has(scene.id))
    return refuse('forbidden', `this credential is not for scene ${scene.id}`);
  const atMs = ask.drawnAtMs ?? nowMs;
  if (atMs > nowMs + DRAWN_AHEAD_MS_MAX) return refuse('malformed', 'drawnAtMs lies in the future');
  const phase = phaseAt(campaign, atMs);
  if (!phase) return refuse('phase-closed', `campaign ${campaign.id} has no phase at ${atMs}`);
  return checkAmount(scene, ask.amountFen) ?? { ...ask, phase, atMs };
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

const consolationOf = ({ campaign, scene }: Draw): Scene | undefined =>
  scene.consolation && campaign.scenes.get(scene.consolation);

/** New orders are made under the person's own id. */
function nameOf(
  { person, phase, rainId }: Draw,
  scene: Scene,
  actId: ActId = person.actId,
): Pick<Order, 'actId' | 'phaseKey' | 'orderNumber'> {
  const parts = { actId, sceneId: scene.id, rainId, awardType: scene.award, stage: phase.id };
  return { actId, phaseKey: phase.key, orderNumber: formatOrderNumber(parts) };
}

/** The number of what is asked for, under each id of the person. */
const askedOf = (draw: Draw): readonly string[] =>
  idsOf(draw.person).map((actId) => orderKey(nameOf(draw, draw.scene, actId)));

/** The first answer, if this asks for the same: what the caller named must be what it named then. */
const again = (first: Granted, draw: Draw): Granted | Refusal =>
  conflictOf(first.order, draw) ?? { ...first, replayed: true };

/**
 * What was granted to another app of the person is the answer here too, whatever this one names: it could not know. The
 * amount that was named is not known any more once a consolation was given.
 */
function conflictOf(order: Order, draw: Draw): Refusal | undefined {
  const isOwn = order.sceneId === draw.scene.id;
  const same =
    draw.appId !== order.appId ||
    ((!isOwn || draw.amountFen === undefined || draw.amountFen === order.amountFen) &&
      (draw.drawnAtMs === undefined || draw.drawnAtMs === order.drawnAtMs));
  return same
    ? undefined
    : refuse('order-conflict', `order ${order.orderNumber} was granted with other content`);
}
