import type { PoolClient } from 'pg';
import { BrokenInvariant, isRefusal, type Refusal } from '../../../protocol/failures.ts';
import { cutDoubleMean, cutFixed, type RandomBelow } from '../../../rules/cut.ts';
import {
  type Amount,
  dealSpanMs,
  type OwnLine,
  type PayingLine,
  type ShareWanted,
  shareOf,
} from '../../../rules/share.ts';
import type { SceneId } from '../../../vocabulary/ids.ts';
import type { Slice, SliceLeaseAsk } from '../../ports.ts';
import { type ChainKey, isTotalOf, lockChain, moveLines } from './chain.ts';
import leaseSliceSql from './lease-slice.sql';
import readChainSql from './read-chain.sql';
import { type LineRow, NONE, negative, type SliceRow, sliceOf, TOTAL } from './rows.ts';

/** Takes a slice out of every line of its chain, in the caller's transaction. */
export async function lease(
  client: PoolClient,
  ask: SliceLeaseAsk,
  randomBelow: RandomBelow,
): Promise<Slice | undefined> {
  const key: ChainKey = { phase_key: ask.phaseKey, scene_id: ask.sceneId, rain_id: ask.rainId ?? TOTAL };
  const seen = await readChain(client, key, ask.holder);
  const chain = await lockChain(client, key, seen.levels);
  const own = chain.lines.find(
    ({ scene_id, rain_id }) => scene_id === key.scene_id && rain_id === key.rain_id,
  );
  // A slice that is not of the scene's total too could never be told from one that is.
  if (!own || own.rule === 'level' || !chain.lines.some((line) => isTotalOf(key, line))) return undefined;
  const paying = chain.lines.map(
    (line): PayingLine => ({
      remaining: { packets: line.remaining_packets, fen: line.remaining_fen },
      leased: { packets: line.leased_packets, fen: line.leased_fen },
      holders: seen.holders.get(nameOf(line)) ?? 1,
    }),
  );
  const wanted = wantedBy(ask);
  const ownLine = { ...ownOf(own), rule: own.rule };
  const share = shareOf(ownLine, paying, wanted);
  if (!share) return undefined;
  const amounts = own.rule === 'given' ? null : cut(ownLine, share, randomBelow);
  await moveLines(client, chain, { remaining: negative(share), leased: share, given: NONE });
  const { dealUntilMs, grantUntilMs } = timesOf(ask, wanted, share, own.rule === 'given');
  const { rows } = await client.query<Pick<SliceRow, 'slice_id' | 'epoch'>>(leaseSliceSql, [
    key.phase_key,
    key.scene_id,
    key.rain_id,
    ask.holder,
    amounts,
    share.packets,
    share.fen,
    dealUntilMs,
    grantUntilMs,
  ]);
  return sliceOf({
    ...key,
    ...rows[0]!,
    amounts_fen: amounts,
    packets: share.packets,
    fen: share.fen,
    deal_until_ms: dealUntilMs,
    grant_until_ms: grantUntilMs,
  });
}

const nameOf = (line: Pick<LineRow, 'scene_id' | 'rain_id'>) => `${line.scene_id} ${line.rain_id}`;

const ownOf = (line: LineRow): Omit<OwnLine, 'rule'> => ({
  capFen: line.packet_cap_fen,
  remaining: { packets: line.remaining_packets, fen: line.remaining_fen },
});

const wantedBy = (ask: SliceLeaseAsk): ShareWanted => ({
  packets: BigInt(Math.max(1, ask.packetsWanted)),
  ...(ask.fenWanted === undefined ? {} : { fen: ask.fenWanted }),
  ...(ask.fenLeast === undefined ? {} : { fenLeast: ask.fenLeast }),
});

/** Looked at before anything is locked: counting holders takes longer than leasing, and need not be of the moment. */
async function readChain(
  client: PoolClient,
  key: ChainKey,
  holder: string,
): Promise<{ readonly levels: readonly string[]; readonly holders: ReadonlyMap<string, number> }> {
  const { rows } = await client.query<{
    scene_id: SceneId;
    rain_id: number;
    levels: string[];
    holders: number;
  }>(readChainSql, [key.phase_key, key.scene_id, key.rain_id, holder]);
  return {
    levels: rows.find((line) => isTotalOf(key, line))?.levels ?? [],
    holders: new Map(rows.map((line) => [nameOf(line), line.holders])),
  };
}

/** A slice smaller than it was wanted is dealt from for a shorter time; tickets stay valid for as long behind it. */
function timesOf(
  ask: SliceLeaseAsk,
  wanted: ShareWanted,
  share: Amount,
  byMoney: boolean,
): { readonly dealUntilMs: bigint; readonly grantUntilMs: bigint } {
  const fromMs = ask.dealFromMs ?? ask.dealUntilMs;
  const spanMs = ask.dealUntilMs - fromMs;
  const byPackets = dealSpanMs(spanMs, Number(share.packets), Number(wanted.packets));
  const dealForMs = byMoney
    ? Math.min(byPackets, dealSpanMs(spanMs, Number(share.fen), Number(wanted.fen ?? share.fen)))
    : byPackets;
  const dealUntilMs = fromMs + dealForMs;
  return {
    dealUntilMs: BigInt(dealUntilMs),
    grantUntilMs: BigInt(dealUntilMs + ask.grantUntilMs - ask.dealUntilMs),
  };
}

function cut(line: OwnLine, share: Amount, randomBelow: RandomBelow): bigint[] {
  const count = Number(share.packets);
  if (line.rule === 'piece') return Array.from({ length: count }, () => line.capFen);
  const amounts =
    line.rule === 'fixed'
      ? cutFixed(share.fen, count, line.capFen)
      : cutDoubleMean(share.fen, count, line.capFen, randomBelow);
  if (isRefusal(amounts))
    throw new BrokenInvariant(
      'I4',
      `a budget line was left that can't be cut: ${(amounts as Refusal).detail}`,
    );
  return amounts;
}
