import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Asked, ask } from '../../rehearsal/crowd/http-way.ts';
import type { Cluster } from '../../tools/cluster/index.ts';
import { CAMPAIGN, until } from './stage.ts';

/** One person's phone over HTTP, which the test leads by the hand. */
export interface Phone {
  readonly tokens: readonly string[];
  /** The sum of the money that it was told it has won. */
  toldFen(): number;
  /** The engine's name of this person; known once something was won. */
  actId(): bigint;
  /** Shakes and opens until so many packets of money more are won; what else comes on the way is kept as well. */
  win(packets: number): Promise<void>;
  /** One shake, and the packet opened when there was one; false when nothing came of it. */
  tryToWin(): Promise<boolean>;
  wallet(showsTokens?: boolean): Promise<Asked>;
  /** Takes out all that it was told of; asks under one key until it is held, because an answer may be lost. */
  withdrawAll(): Promise<void>;
}

export function aPhone(cluster: Cluster, name: string, at = 0): Phone {
  const gateways = cluster.of('gateway');
  const route = `${gateways[at % gateways.length]!.url}/v1/campaigns/${CAMPAIGN.campaignId}`;
  const session = cluster.app.sessionOf(name);
  const won = new Map<string, { readonly fen: number; readonly token: string }>();
  let claimRecord: string | undefined;
  let ticket: string | undefined;

  async function shake(): Promise<void> {
    const shaken = await ask(`${route}/shakes`, session, claimRecord === undefined ? {} : { claimRecord });
    if (shaken?.status !== 200) return;
    claimRecord = (shaken.body.claimRecord as string | undefined) ?? claimRecord;
    ticket = shaken.body.ticket as string | undefined;
  }

  async function tryToWin(): Promise<boolean> {
    if (ticket === undefined) await shake();
    if (ticket === undefined) return false;
    const opened = await ask(`${route}/packets`, session, { ticket });
    if (opened === undefined || opened.body.retryable === true) return false;
    ticket = undefined;
    if (opened.status !== 200) return false;
    const { orderNumber, amountFen, awardType, token } = opened.body as {
      orderNumber: string;
      amountFen: number;
      awardType: string;
      token: string;
    };
    won.set(orderNumber, { fen: awardType === 'cash' ? amountFen : 0, token });
    return true;
  }

  const moneyPackets = () => [...won.values()].filter(({ fen }) => fen > 0).length;
  const toldFen = () => [...won.values()].reduce((sum, { fen }) => sum + fen, 0);

  return {
    get tokens() {
      return [...won.values()].map(({ token }) => token);
    },
    toldFen,
    actId: () => BigInt([...won.keys()][0]!.split('_')[0]!),
    tryToWin,
    async win(packets) {
      const wanted = moneyPackets() + packets;
      await until(
        async () => {
          if (!(await tryToWin())) await delay(150);
          return moneyPackets() >= wanted;
        },
        () => `${name} wins ${packets} packets of money`,
      );
    },
    wallet(showsTokens = false) {
      const tokens = [...won.values()].map(({ token }) => token);
      return ask(`${route}/wallet`, session, showsTokens ? { tokens } : undefined);
    },
    async withdrawAll() {
      const amountFen = toldFen();
      const headers = { 'idempotency-key': randomUUID() };
      let last: Asked;
      await until(
        async () => {
          last = await ask(`${route}/withdrawals`, session, { amountFen }, headers);
          return last?.status === 202;
        },
        () => `${name} withdraws ${amountFen} fen: ${JSON.stringify(last)}`,
      );
    },
  };
}
