import type { CampaignSnapshot, Scene } from '../campaign/snapshot.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';
import type { SceneId, SponsorId } from '../vocabulary/ids.ts';

/** What a person has won so far in a phase, scene by scene; a scene once per packet. */
export interface WonSoFar {
  readonly sceneIds: readonly SceneId[];
}

/**
 * Whether one more packet of `scene` stays within what a person may have (seed 2015: three packets a person, one a
 * sponsor). What is not won by shaking counts only against its own scene's cap.
 */
export function capRefusal(won: WonSoFar, scene: Scene, campaign: CampaignSnapshot): Refusal | undefined {
  const { scenes, limits } = campaign;
  let ofScene = 0;
  let ofSponsor = 0;
  let shaken = 0;
  for (const sceneId of won.sceneIds) {
    if (sceneId === scene.id) ofScene += 1;
    const other = scenes.get(sceneId);
    if (!other || !isShaken(other, campaign)) continue;
    shaken += 1;
    if (other.sponsorId === scene.sponsorId) ofSponsor += 1;
  }
  if (ofScene >= scene.personPacketsMax) {
    return refuse('person-cap-reached', `scene ${scene.id} gives a person ${scene.personPacketsMax} packets`);
  }
  if (!isShaken(scene, campaign)) return undefined;
  if (shaken >= limits.packets)
    return refuse('person-cap-reached', `a person may win ${limits.packets} packets`);
  return ofSponsor >= limits.packetsPerSponsor
    ? refuse('sponsor-cap-reached', `a person may win ${limits.packetsPerSponsor} packets of a sponsor`)
    : undefined;
}

/** Sponsors that this person can still win from; used by the shake, which only looks at sponsors. */
export function sponsorsTaken(won: WonSoFar, campaign: CampaignSnapshot): Set<SponsorId> {
  const taken = new Set<SponsorId>();
  for (const sceneId of won.sceneIds) {
    const scene = campaign.scenes.get(sceneId);
    if (scene && isShaken(scene, campaign)) taken.add(scene.sponsorId);
  }
  return taken;
}

/** Whether a scene's packets count as shaken: not where upstreams name the amount, and pieces only if rounds deal them. */
export function isShaken({ id, amount }: Scene, campaign: CampaignSnapshot): boolean {
  if (amount.rule === 'piece') return dealtScenes(campaign).has(id);
  return amount.rule !== 'given';
}

/** Made once a snapshot: a night has thousands of rounds. */
const dealt = new WeakMap<CampaignSnapshot, ReadonlySet<SceneId>>();

function dealtScenes(campaign: CampaignSnapshot): ReadonlySet<SceneId> {
  const known = dealt.get(campaign);
  if (known) return known;
  const deals = campaign.phases.flatMap((phase) => phase.series.flatMap((series) => series.deals));
  const scenes = new Set(deals.map((deal) => deal.sceneId));
  dealt.set(campaign, scenes);
  return scenes;
}
