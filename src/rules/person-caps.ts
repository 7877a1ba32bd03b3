import type { PersonLimits, Scene } from '../campaign/snapshot.ts';
import { type Refusal, refuse } from '../protocol/failures.ts';
import type { SceneId, SponsorId } from '../vocabulary/ids.ts';

/** What a person has won so far in a phase, scene by scene; a scene once per packet. */
export interface WonSoFar {
  readonly sceneIds: readonly SceneId[];
}

/**
 * Whether one more packet of `scene` stays within what a person may have (seed 2015: three packets a person, one a
 * sponsor). Scenes whose amounts upstreams name count only against their own cap: they are not won by shaking.
 */
export function capRefusal(
  won: WonSoFar,
  scene: Scene,
  scenes: ReadonlyMap<SceneId, Scene>,
  limits: PersonLimits,
): Refusal | undefined {
  let ofScene = 0;
  let ofSponsor = 0;
  let shaken = 0;
  for (const sceneId of won.sceneIds) {
    if (sceneId === scene.id) ofScene += 1;
    const other = scenes.get(sceneId);
    if (!other || other.amount.rule === 'given') continue;
    shaken += 1;
    if (other.sponsorId === scene.sponsorId) ofSponsor += 1;
  }
  if (ofScene >= scene.personPacketsMax) {
    return refuse('person-cap-reached', `scene ${scene.id} gives a person ${scene.personPacketsMax} packets`);
  }
  if (scene.amount.rule === 'given') return undefined;
  if (shaken >= limits.packets)
    return refuse('person-cap-reached', `a person may win ${limits.packets} packets`);
  return ofSponsor >= limits.packetsPerSponsor
    ? refuse('sponsor-cap-reached', `a person may win ${limits.packetsPerSponsor} packets of a sponsor`)
    : undefined;
}

/** Sponsors that this person can still win from; used by the shake, which only looks at sponsors. */
export function sponsorsTaken(won: WonSoFar, scenes: ReadonlyMap<SceneId, Scene>): Set<SponsorId> {
  const taken = new Set<SponsorId>();
  for (const sceneId of won.sceneIds) {
    const scene = scenes.get(sceneId);
    if (scene && scene.amount.rule !== 'given') taken.add(scene.sponsorId);
  }
  return taken;
}
