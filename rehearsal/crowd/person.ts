import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { History } from './history.ts';
import type { Answer, Ask, Wire } from './wire.ts';

export interface Tally {
  wins: number;
  replays: number;
  shakes: number;
  walletReads: number;
  withdrawals: number;
  /** Requests whose answer never came: the engine died, or refused for now. */
  unanswered: number;
  refusals: Record<string, number>;
  /** Answers that no request may get: 5xx for garbage, or a success for it. */
  misbehaved: string[];
}

export interface PersonOptions {
  readonly user: string;
  readonly campaignId: string;
  readonly wire: Wire;
  readonly history: History;
  readonly chance: Chance;
  readonly tally: Tally;
  /** Nothing new after this; what is under way is asked until it is answered. */
  readonly stop: AbortSignal;
  /** Gives up even on what is under way. */
  readonly giveUp: AbortSignal;
  readonly pauseMs: number;
}

/** One person of the crowd: shakes, opens, looks, withdraws, retries, and cheats a little. */
export async function runPerson(options: PersonOptions): Promise<void> {
  const { user, wire, history, chance, tally } = options;
  const base = `/v1/campaigns/${options.campaignId}`;
  const claims: (string | undefined)[] = [undefined];
  const tickets: string[] = [];
  const tokens: string[] = [];
  const withdrawn: { key: string; amountFen: number }[] = [];
  let claim: string | undefined;
  const session = (await untilAnswered({ path: '/demo/v1/sessions', body: { user } })).body.session as string;

  /** The same request again and again until it is answered for good. */
  async function untilAnswered(ask: Ask): Promise<Answer> {
    for (;;) {
      try {
        const answer = await wire(ask);
        if (answer.status < 500 && answer.status !== 429) return answer;
      } catch {
        tally.unanswered += 1;
      }
      if (options.giveUp.aborted) throw new Error(`${user}: ${ask.path} was never answered`);
      await delay(80 + chance.below(120));
    }
  }

  function refused(what: string, answer: Answer): void {
    const code = `${what}: ${answer.body?.code ?? answer.status}`;
    tally.refusals[code] = (tally.refusals[code] ?? 0) + 1;
    history.write(user, { t: 'refused', what, code: String(answer.body?.code ?? answer.status) });
  }

  async function open(ticket: string): Promise<void> {
    const answer = await untilAnswered({ path: `${base}/packets`, session, body: { ticket } });
    if (answer.status !== 200) {
      refused('open', answer);
      return;
    }
    const { orderNumber, amountFen, token } = answer.body;
    history.write(user, {
      t: 'won',
      orderNumber,
      amountFen,
      tokenHash: createHash('sha256').update(token).digest('hex'),
    });
    if (tokens.includes(token)) tally.replays += 1;
    else {
      tally.wins += 1;
      tokens.push(token);
    }
  }

  async function shake(): Promise<void> {
    // Cheats forget what they have won, or show an older record.
    const shown = chance.oneIn(6) ? claims[chance.below(claims.length)] : claim;
    const answer = await untilAnswered({
      path: `${base}/shakes`,
      session,
      body: shown === undefined ? {} : { claimRecord: shown },
    });
    if (answer.status !== 200) {
      refused('shake', answer);
      return;
    }
    tally.shakes += 1;
    claim = answer.body.claimRecord ?? claim;
    if (claims.length < 8) claims.push(claim);
    const { ticket } = answer.body;
    if (answer.body.prize !== 'ticket') return;
    tickets.push(ticket);
    await Promise.all(chance.oneIn(3) ? [open(ticket), open(ticket)] : [open(ticket)]);
  }

  async function look(): Promise<number> {
    const sinceN = history.count();
    const shown = chance.oneIn(3) ? { tokens: tokens.slice(-20) } : undefined;
    const answer = await untilAnswered({ path: `${base}/wallet`, session, body: shown });
    if (answer.status !== 200) {
      refused('wallet', answer);
      return 0;
    }
    const { balanceFen, creditedFen, outstandingFen, heldFen, totalIncomeFen } = answer.body;
    history.write(user, {
      t: 'wallet',
      sinceN,
      balanceFen,
      creditedFen,
      outstandingFen,
      heldFen,
      totalIncomeFen,
    });
    tally.walletReads += 1;
    return balanceFen;
  }

  async function askToWithdraw({ key, amountFen }: { key: string; amountFen: number }): Promise<void> {
    const answer = await untilAnswered({
      path: `${base}/withdrawals`,
      session,
      idempotencyKey: key,
      body: { amountFen, tokens: chance.oneIn(2) ? tokens.slice(-20) : [] },
    });
    if (answer.status !== 202) {
      refused('withdraw', answer);
      return;
    }
    history.write(user, {
      t: 'withdrawn',
      key,
      withdrawalId: answer.body.withdrawalId,
      amountFen: answer.body.amountFen,
    });
  }

  async function withdraw(balanceFen: number): Promise<void> {
    const amountFen = chance.oneIn(2) ? balanceFen : 1 + chance.below(balanceFen);
    const asked = { key: `${user}-${withdrawn.length}-${chance.below(1 << 30)}`, amountFen };
    history.write(user, { t: 'withdrawing', ...asked });
    withdrawn.push(asked);
    await Promise.all(
      chance.oneIn(3) ? [askToWithdraw(asked), askToWithdraw(asked)] : [askToWithdraw(asked)],
    );
    tally.withdrawals += 1;
  }

  async function misbehave(): Promise<void> {
    const nonsense: Ask[] = [
      {
        path: `${base}/packets`,
        session,
        body: { ticket: Buffer.from(`${chance.next()}`).toString('base64url') },
      },
      { path: `${base}/packets`, session, body: { ticket: 7 } },
      { path: `${base}/wallet`, session, body: { tokens: ['AAAA', '!!'] } },
      { path: `${base}/withdrawals`, session, body: { amountFen: -1 }, idempotencyKey: 'x' },
      {
        path: `${base}/withdrawals`,
        session,
        body: { amountFen: 1e15 },
        idempotencyKey: `${user}-too-much-${chance.below(1e6)}`,
      },
      { path: `${base}/shakes`, session: `${session}x`, body: {} },
      { path: '/v1/grants', session, body: { campaignId: options.campaignId } },
    ];
    const ask = nonsense[chance.below(nonsense.length)]!;
    const answer = await wire(ask).catch(() => undefined);
    const isWalletOfNonsense = ask.path.endsWith('/wallet') && answer?.status === 200;
    if (answer && (answer.status < 400 || answer.status === 500) && !isWalletOfNonsense)
      tally.misbehaved.push(`${answer.status} for ${ask.path} ${JSON.stringify(ask.body)}`);
  }

  async function act(): Promise<void> {
    const choice = chance.below(20);
    if (choice < 11) return shake();
    if (choice < 15) return void (await look());
    if (choice < 17) {
      const balanceFen = await look();
      return balanceFen > 0 ? withdraw(balanceFen) : undefined;
    }
    if (choice === 17 && tickets.length > 0) return open(tickets[chance.below(tickets.length)]!);
    if (choice === 18 && withdrawn.length > 0)
      return askToWithdraw(withdrawn[chance.below(withdrawn.length)]!);
    return misbehave();
  }

  while (!options.stop.aborted) {
    await act();
    await delay(chance.below(2 * options.pauseMs));
  }
  await look();
}
