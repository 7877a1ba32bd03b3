import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import { demoSessionKey } from '../../guard/demo-sessions.ts';
import type { SessionKey } from '../../guard/sessions.ts';
import type { AppId } from '../../vocabulary/ids.ts';

const DEMO_APP = { id: 1 as AppId, name: 'demo' };

/** Keys of demo sessions: for the apps of the first campaign, but for those that have keys of their own. The first app always has one. */
export function demoKeys(
  campaigns: Iterable<CampaignSnapshot>,
  configured: readonly SessionKey[],
  secret: Buffer,
): readonly [SessionKey, ...SessionKey[]] {
  const [campaign] = campaigns;
  const [first = DEMO_APP, ...others] = campaign?.apps.values() ?? [];
  const unconfigured = others.filter(({ name }) => !configured.some((key) => key.name === name));
  return [demoSessionKey(first, secret), ...unconfigured.map((app) => demoSessionKey(app, secret))];
}
