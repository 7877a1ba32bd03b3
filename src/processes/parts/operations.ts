import { timingSafeEqual } from 'node:crypto';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import { createDeadLetters } from '../../control/dead-letters.ts';
import type { OpsDeps } from '../../control/ops/http.ts';
import { LOCAL_OPERATOR } from '../../control/reissue/desk.ts';
import type { Awards, ControlStore } from '../../engines/ports.ts';
import { createCredentialCheck, newSecret, secretHash } from '../../guard/secrets.ts';
import { refuse } from '../../protocol/failures.ts';
import type { Keyring } from '../../stations/4-seal/keyring.ts';
import { parseCampaignId, parseSceneId, type SceneId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';
import type { ControlPart } from './control.ts';

export interface OperationsDeps {
  readonly control: ControlPart;
  readonly store: ControlStore;
  readonly keyring: Keyring;
  readonly campaign: (id: string) => CampaignSnapshot | undefined;
  readonly campaigns: () => Iterable<CampaignSnapshot>;
  readonly awards: Awards;
  readonly clock: Clock;
}

/** What operators may do, beside what every process tells of itself. */
export type Operations = Omit<OpsDeps, 'status' | 'metricsText' | 'ready'>;

export type OperatorOf = (secret: string | undefined) => Promise<string | undefined>;

/** The acts of operations. `operatorKey` is for the command line of this machine's own user; it lives as long as the process. */
export async function createOperations(deps: OperationsDeps): Promise<{
  readonly operations: Operations;
  /** Who a key is of: a stored operator's name, or `local`. */
  readonly operatorOf: OperatorOf;
  readonly operatorKey: string;
  /** Printed while nobody is an operator yet. */
  readonly setupToken: string | undefined;
}> {
  const { control, store, keyring } = deps;
  const { announcer, campaigns } = control;
  const operatorKey = newSecret('hbo');
  const storedOperator = createCredentialCheck((hash) => store.operatorByKey(hash), 5_000);
  const setupToken = (await store.operatorCount()) === 0 ? newSecret('hbs') : undefined;
  if (setupToken !== undefined) await store.offerSetupToken(secretHash(setupToken));

  const operatorOf: OperatorOf = async (secret) =>
    secret !== undefined && timingSafeEqual(secretHash(secret), secretHash(operatorKey))
      ? LOCAL_OPERATOR
      : (await storedOperator(secret))?.name;

  const operations: Operations = {
    isOperator: async (secret) => (await operatorOf(secret)) !== undefined,
    setUp: async (token, name) => {
      if (name.toLowerCase() === LOCAL_OPERATOR) return undefined;
      const key = newSecret('hbo');
      return (await store.spendSetupToken(secretHash(token), { name, keyHash: secretHash(key) }))
        ? key
        : undefined;
    },
    creditRate: () => announcer.current().creditsPerSecond ?? undefined,
    setCreditRate: async (creditsPerSecond) =>
      void (await announcer.announce(() => ({ creditsPerSecond: creditsPerSecond ?? null }))),
    rotateKeys: async () => {
      const { keyId } = keyring.rotate();
      await announcer.announce((now) => ({ keyringVersion: now.keyringVersion + 1 }));
      return { keyId };
    },
    applyCampaign: campaigns.apply,
    deadLetters: createDeadLetters(deps),
    cue: campaigns.cue,
    switches: () => announcer.current().off,
    setSwitch: async (part, on) =>
      void (await announcer.announce((now) => ({
        off: on ? now.off.filter((one) => one !== part) : [...new Set([...now.off, part])],
      }))),
    addUpstream: async ({ name, campaignId, scenes }) => {
      const inForce = deps.campaign(campaignId);
      const id = parseCampaignId(campaignId);
      if (!inForce || !id) return refuse('campaign-unknown', 'no campaign of this id is in force');
      const unknown = scenes.find((scene) => !inForce.scenes.has(scene as SceneId));
      if (unknown !== undefined)
        return refuse('scene-unknown', `the campaign has no scene ${JSON.stringify(unknown)}`);
      const secret = newSecret('hbu');
      await store.putUpstream(
        { name, campaignId: id, scenes: new Set(scenes.flatMap((scene) => parseSceneId(scene) ?? [])) },
        secretHash(secret),
      );
      return secret;
    },
  };
  return { operations, operatorOf, operatorKey, setupToken };
}
