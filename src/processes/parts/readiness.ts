import type { Stores } from '../stores/index.ts';

export interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
}

/**
 * Whether players may be sent here. A process that serves none is always ready; one that can promise without its log,
 * because it credits straight into the ledger meanwhile, does not wait for the log.
 */
export function readinessOf(now: {
  readonly isStopping: boolean;
  /** Runs the gateway's or the wallet's part. */
  readonly servesPlayers: boolean;
  readonly hasCampaign: boolean;
  readonly stores: Pick<Stores, 'logs' | 'appendLocally'>;
}): Readiness {
  if (now.isStopping) return { ready: false, reason: 'stopping' };
  if (!now.servesPlayers) return { ready: true };
  const { logs, appendLocally } = now.stores;
  const ailing = appendLocally ? undefined : logs.map((log) => log.health()).find((one) => !one.accepting);
  if (ailing) return { ready: false, reason: ailing.reason! };
  return now.hasCampaign ? { ready: true } : { ready: false, reason: 'no campaign is in force; apply one' };
}
