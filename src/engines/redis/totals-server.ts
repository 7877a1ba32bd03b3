import { atLeast } from '../../rules/hot-total.ts';
import { fen } from '../../vocabulary/fen.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal } from '../ports.ts';
import type { RedisClient } from './client.ts';

/** What an instance has given in all, or a database of the ledger has credited (`databaseName`). */
export interface ToldSum {
  readonly who: string;
  readonly sum: HotTotal;
}

/** Who tells, when it is a database of the ledger. No instance is named like that. */
export const databaseName = (database: string): string => `=${database}`;

/** One Redis that keeps totals, the primary or the backup. Every call that fails throws `RetryableFault`. */
export interface TotalsServer {
  /** Tells absolute sums; gives back the total after it. Telling again changes nothing. */
  tell(phaseKey: PhaseKey, sums: readonly ToldSum[]): Promise<HotTotal>;
  /** The total: one key. */
  look(phaseKey: PhaseKey): Promise<HotTotal>;
  /** All sums that were ever told here, some at a time; one may come twice. */
  told(phaseKey: PhaseKey): AsyncIterable<readonly ToldSum[]>;
  /** True for one process in a while: mending is not dear, but there are thousands of us. */
  mayMend(phaseKey: PhaseKey): Promise<boolean>;
}

const SCAN_COUNT = 200;
const MEND_EVERY_MS = 5_000;

/** All keys lie in one slot. `space` is the cluster's name: another one shares nothing with it (I7). */
export function createTotalsServer(client: RedisClient, space: string): TotalsServer {
  const totalKey = (phaseKey: PhaseKey): string => `{${space}}total${phaseKey}`;
  const toldKey = (phaseKey: PhaseKey): string => `{${space}}told${phaseKey}`;

  return {
    async tell(phaseKey, sums) {
      const args = sums.flatMap(({ who, sum }) => [who, sum.fen.toString(), sum.packets]);
      return totalOf(await client.invoke('tell', [totalKey(phaseKey), toldKey(phaseKey)], args));
    },

    look: async (phaseKey) =>
      totalOf(await client.command('HMGET', totalKey(phaseKey), 'f', 'p', 'cf', 'cp')),

    async *told(phaseKey) {
      let cursor = '0';
      do {
        const [next, pairs] = (await client.command(
          'HSCAN',
          toldKey(phaseKey),
          cursor,
          'COUNT',
          SCAN_COUNT,
        )) as [Buffer, Buffer[]];
        // A small hash comes whole, whatever was asked for; the function takes so many at once.
        const sums = sumsOf(pairs);
        for (let at = 0; at < sums.length; at += SCAN_COUNT) yield sums.slice(at, at + SCAN_COUNT);
        cursor = next.toString();
      } while (cursor !== '0');
    },

    mayMend: async (phaseKey) =>
      (await client.command('SET', `{${space}}mend${phaseKey}`, '1', 'NX', 'PX', MEND_EVERY_MS)) !== null,
  };
}

/** What was told, or what was credited: neither is ever more than was given. Nothing stands where nothing was told yet. */
function totalOf(reply: unknown): HotTotal {
  const [money, packets, creditedMoney, creditedPackets] = (reply as (Buffer | null)[]).map((part) =>
    BigInt(String(part ?? 0)),
  ) as [bigint, bigint, bigint, bigint];
  const told = { fen: fen(money), packets: Number(packets) };
  return atLeast(told, { fen: fen(creditedMoney), packets: Number(creditedPackets) });
}

const sumsOf = (pairs: readonly Buffer[]): ToldSum[] =>
  Array.from({ length: pairs.length / 2 }, (_, at) => {
    const [money, packets] = pairs[2 * at + 1]!.toString().split(' ');
    return {
      who: pairs[2 * at]!.toString(),
      sum: { fen: fen(BigInt(money!)), packets: Number(packets) },
    };
  });
