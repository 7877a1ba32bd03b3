import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { Ledger } from '../../src/engines/ports.ts';
import { createGranter, type Granter } from '../../src/stations/3-grant/grant.ts';
import { promisedAt } from '../../src/stations/4-seal/sealing-line.ts';
import { type Creditor, type CreditorOptions, createCreditor } from '../../src/stations/5-credit/creditor.ts';
import type { Clock } from '../../src/vocabulary/instant.ts';
import { NOBODY_KNOWS } from './credited-wins.ts';
import type { Promises } from './promises.ts';
import { quiet } from './quiet.ts';

/** 3-grant over these promises, which hands out empty tokens and knows no order's fate. */
export const granterOver = (promises: Promises, campaign: () => CampaignSnapshot): Granter =>
  createGranter({
    fateOf: async () => 'unknown',
    creditedWins: NOBODY_KNOWS,
    book: promises.book,
    promise: async (order) => {
      await promises.promise([order]);
      return { token: new Uint8Array() };
    },
    promisedAt: (_, position) => promisedAt(promises.log, position),
    campaign,
  });

/** 5-credit over these promises, not started; what would end a process is thrown, unless `more` takes it. */
export const creditorOver = (
  promises: Promises,
  ledger: Ledger,
  clock: Clock,
  more: Partial<CreditorOptions> = {},
): Creditor =>
  createCreditor({
    ...promises,
    ledger,
    clock,
    logger: quiet,
    random: Math.random,
    onFatal: (error) => {
      throw error;
    },
    ...more,
  });

/** Credits all that is promised by now; resolves with what the creditor did. */
export async function creditAll(
  promises: Promises,
  ledger: Ledger,
  clock: Clock,
): Promise<ReturnType<Creditor['status']>> {
  const crediting = creditorOver(promises, ledger, clock);
  crediting.start();
  await promises.drainedTo(promises.log.end());
  await crediting.stop();
  return crediting.status();
}
