import { type Logger, pino } from 'pino';
import { createPeople } from '../src/identity/people.ts';
import { createFollowingClock } from '../src/processes/clock.ts';
import { createStock } from '../src/stations/3-grant/stock.ts';
import { followCampaigns } from './in-force.ts';
import { createQueries, type Hongbao } from './queries.ts';
import { openStores, type StoresOptions } from './stores.ts';

export { isRefusal, type Refusal, RetryableFault } from '../src/protocol/failures.ts';
export type {
  BalanceAnswer,
  ForceCreditAnswer,
  Hongbao,
  IncomeAnswer,
  ReceivedAnswer,
  StockAnswer,
  Who,
} from './queries.ts';

export interface HongbaoOptions extends StoresOptions {
  /** How old a balance may be, in ms; 0: looked up every time. Default 1,000. */
  readonly cacheMs?: number;
  /** Silent when left out. */
  readonly logger?: Logger;
}

export interface OpenHongbao extends Hongbao {
  close(): Promise<void>;
}

const CACHE_MS = 1_000;

/**
 * What every service asks of the wallet, answered in its own process straight from the stores: no server between, and
 * one that is overloaded can't be in the way. Reads, and `forceCredit`, which moves nothing that was not promised.
 */
export async function openHongbao(options: HongbaoOptions): Promise<OpenHongbao> {
  const logger = options.logger ?? pino({ level: 'silent' });
  const stores = await openStores(options, logger);
  const clock = createFollowingClock(stores.control.nowMs, logger);
  try {
    await clock.follow();
    const inForce = await followCampaigns({
      control: stores.control,
      announcementKey: stores.secrets.announcement,
      logger,
    });
    const people = createPeople({
      store: stores.control,
      identityKey: stores.secrets.identity,
      logger,
      monotonicMs: clock.monotonicMs,
      onJoined: () => {},
      onPhone: () => {},
    });
    people.start();
    const queries = createQueries({
      ...stores,
      stock: createStock(stores.allotments, clock),
      campaign: inForce.campaign,
      personFor: people.personFor,
      personOf: people.person,
      clock,
      cacheMs: options.cacheMs ?? CACHE_MS,
    });
    return {
      ...queries,
      async close() {
        inForce.stop();
        await people.stop();
        clock.stop();
        await stores.close();
      },
    };
  } catch (error) {
    clock.stop();
    await stores.close();
    throw error;
  }
}
