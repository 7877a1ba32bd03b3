import { appendFileSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { createGrantClient, type GrantAsk } from '../../sdk/grants.ts';
import type { Cluster } from './index.ts';

export interface UpstreamOptions {
  readonly campaignFile: string;
  readonly campaignId: string;
  /** App users, who play at the same time. */
  readonly users: readonly string[];
  /** What was granted is written here, as what people were told. */
  readonly historyFile: string;
}

export interface UpstreamCounts {
  readonly granted: number;
  /** Of these, what is no money. */
  readonly pieces: number;
  readonly refused: number;
  /** Not settled after all tries. */
  readonly unknown: number;
}

interface SceneFile {
  readonly id: string;
  readonly amount: { readonly rule: string };
}

interface CampaignFile {
  readonly apps: { name: string }[];
  readonly rewards: { items: { scenes: SceneFile[] }[] }[];
  readonly phases: { rains: { deals: { scene: string }[] }[] }[];
}

/** A round that nobody can shake in, so that these orders are none of the rounds'. */
const RAIN = 900_001;
const GIVEN_FEN = 66;
/** The first asks of a night lease a slice of every scene, on a machine that does a cluster's work alone. */
const ANSWERED_WITHIN_MS = 15_000;

/**
 * A service upstream: everybody is granted one of whatever services may grant, through the grant API of all gateways;
 * then all of it is asked for once more, because services repeat themselves.
 */
export async function grantToAll(cluster: Cluster, options: UpstreamOptions): Promise<UpstreamCounts> {
  const { apps, rewards, phases } = parse(readFileSync(options.campaignFile, 'utf8')) as CampaignFile;
  const dealt = new Set(
    phases.flatMap((phase) => phase.rains.flatMap(({ deals }) => deals)).map(({ scene }) => scene),
  );
  const scenes = rewards
    .flatMap(({ items }) => items.flatMap((item) => item.scenes))
    .filter(({ amount }) => amount.rule === 'piece' || amount.rule === 'given');
  const names = scenes.map(({ id }) => id).join(',');
  const { campaignId } = options;
  const told = await cluster.command(
    'upstream',
    'add',
    'night',
    '--campaign',
    campaignId,
    '--scenes',
    names,
    '--json',
  );
  const { secret } = JSON.parse(told) as { secret: string };
  const url = cluster.of('gateway').map((gateway) => gateway.url);
  const client = createGrantClient({ url, secret, timeoutMs: ANSWERED_WITHIN_MS });
  const drawnAtMs = Date.now();
  const asks = options.users.flatMap((user) =>
    scenes.map(
      ({ id, amount }): GrantAsk => ({
        ...{ campaignId, sceneId: id, rainId: RAIN, app: apps[0]!.name, drawnAtMs },
        // What rounds deal counts against what a person may win by shaking, which another gateway counts at this moment.
        user: dealt.has(id) ? `guest-${user}` : user,
        ...(amount.rule === 'given' ? { amountFen: GIVEN_FEN } : {}),
      }),
    ),
  );
  const first = await client.grantAll(asks);
  const results = [...first, ...(await client.grantAll(asks))];
  const granted = results.flatMap((one) =>
    one.outcome === 'granted' || one.outcome === 'replayed' ? [one] : [],
  );
  for (const { orderNumber, worthFen } of granted) {
    const seen = { t: 'won', orderNumber, amountFen: worthFen, tokenHash: 'granted by a service' };
    appendFileSync(options.historyFile, `${JSON.stringify(seen)}\n`);
  }
  const distinct = new Map(granted.map((one) => [one.orderNumber, one]));
  return {
    granted: distinct.size,
    pieces: [...distinct.values()].filter(({ awardType }) => awardType !== 'cash').length,
    refused: first.filter(({ outcome }) => outcome === 'refused').length,
    unknown: results.filter(({ outcome }) => outcome === 'unknown').length,
  };
}
