import { fen } from '../../vocabulary/fen.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal } from '../ports.ts';
import type { RedisClient } from './client.ts';

/** What one instance has given in all. */
export interface InstanceSum {
  readonly instance: string;
  readonly sum: HotTotal;
}

/** One Redis that keeps totals, the primary or the backup. Every call that fails throws `RetryableFault`. */
export interface TotalsServer {
  /** Tells absolute sums; gives back the total after it. Telling again changes nothing. */
  tell(phaseKey: PhaseKey, sums: readonly InstanceSum[]): Promise<HotTotal>;
  /** The total: one key. */
  look(phaseKey: PhaseKey): Promise<HotTotal>;
  /** All sums that were ever told here, some at a time; one may come twice. */
  told(phaseKey: PhaseKey): AsyncIterable<readonly InstanceSum[]>;
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
      const args = sums.flatMap(({ instance, sum }) => [instance, sum.fen.toString(), sum.packets]);
      return totalOf(await client.invoke('tell', [totalKey(phaseKey), toldKey(phaseKey)], args));
    },

    look: async (phaseKey) => totalOf(await client.command('HMGET', totalKey(phaseKey), 'f', 'p')),

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

/** A number comes as itself from a function, as digits from a hash, and not at all when nothing was told yet. */
function totalOf(reply: unknown): HotTotal {
  const [money, packets] = reply as (Buffer | number | null)[];
  return { fen: fen(BigInt(String(money ?? 0))), packets: Number(String(packets ?? 0)) };
}

const sumsOf = (pairs: readonly Buffer[]): InstanceSum[] =>
  Array.from({ length: pairs.length / 2 }, (_, at) => {
    const [money, packets] = pairs[2 * at + 1]!.toString().split(' ');
    return {
      instance: pairs[2 * at]!.toString(),
      sum: { fen: fen(BigInt(money!)), packets: Number(packets) },
    };
  });
