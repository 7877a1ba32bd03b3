import { isRefusal } from '../src/protocol/failures.ts';
import type { Fen } from '../src/vocabulary/fen.ts';
import { playerOf, testCampaign } from '../test/support/campaign.ts';
import { type Money, openMoney } from '../test/support/money.ts';
import { anOrder } from '../test/support/orders.ts';
import { type Promises, startRig, testClock } from '../test/support/rig.ts';

export interface WithdrawFigures {
  readonly waitingTokens: number;
  readonly noneP50Ms: number;
  readonly noneP99Ms: number;
  readonly waitingP50Ms: number;
  readonly waitingP99Ms: number;
  /** How much longer the slowest in a hundred take while so many tokens wait for crediting. */
  readonly withdrawP99WaitingOverNone: number;
}

const WAITING = 1_000_000;
const BATCH = 1_000;
const TAKES = 600;
const WARM = 60;
/** Tokens of each who withdraws: they are credited on the way. */
const OWN_TOKENS = 2;
const NIGHT_MS = 1_800_000_000_000;

interface Side {
  readonly promises: Promises;
  readonly money: Money;
  readonly tookMs: number[];
}

/** Withdrawals by people who have two uncredited packets each, in turns with a million tokens waiting and with none. */
export async function benchWithdraw(): Promise<WithdrawFigures> {
  const rig = await startRig();
  const clock = testClock(NIGHT_MS);
  const open = async (name: string): Promise<Side> => {
    const promises = await rig.journal(name);
    const money = await openMoney({ rig, promises: () => promises, clock, keys: rig.folder('keys') });
    return { promises, money, tookMs: [] };
  };
  const [none, waiting] = [await open('none'), await open('waiting')];
  for (let at = 0; at < WAITING; at += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, next) => anOrder({ person: 5_000_000 + at + next }));
    await waiting.promises.promise(batch);
  }
  let person = 0;
  const take = async ({ promises, money, tookMs }: Side): Promise<void> => {
    person += 1;
    await promises.promise(
      Array.from({ length: OWN_TOKENS }, (_, at) => anOrder({ person, rain: 1 + at, fen: 50 })),
    );
    const ask = { amountFen: BigInt(50 * OWN_TOKENS) as Fen, idempotencyKey: `take-${person}`, tokens: [] };
    const startedAt = performance.now();
    const held = await money.withdrawals.request(playerOf(person), testCampaign, ask);
    tookMs.push(performance.now() - startedAt);
    if (isRefusal(held)) throw new Error(held.detail);
  };
  for (let at = 0; at < WARM + TAKES; at += 1) for (const side of [none, waiting]) await take(side);
  for (const { promises, money } of [none, waiting]) {
    await money.app.close();
    await promises.log.close();
  }
  await rig.stop();
  const at = ({ tookMs }: Side, part: number): number =>
    tookMs.slice(WARM).sort((a, b) => a - b)[Math.floor(TAKES * part)]!;
  return {
    waitingTokens: WAITING,
    noneP50Ms: at(none, 0.5),
    noneP99Ms: at(none, 0.99),
    waitingP50Ms: at(waiting, 0.5),
    waitingP99Ms: at(waiting, 0.99),
    withdrawP99WaitingOverNone: at(waiting, 0.99) / at(none, 0.99),
  };
}
