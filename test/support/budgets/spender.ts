/**
 * A small gateway that spends stock as fast as it may: slices, granter, journal, creditor and reclaimer of its own, the
 * budgets and the ledger shared. It is bundled, and killed at any moment. Lines out: `up`, `w person order fen` (won),
 * `x person` (nothing left), `rest` (nothing is left, nothing is held). Line in: `finish`.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { compileCampaign, contentHash } from '../../../src/campaign/compile.ts';
import { readCampaign } from '../../../src/campaign/read.ts';
import { createReclaimer } from '../../../src/control/reclaim.ts';
import type { Allotments } from '../../../src/engines/ports.ts';
import { createAllotments } from '../../../src/engines/postgres/allotments/index.ts';
import { openPool } from '../../../src/engines/postgres/pool.ts';
import { createLedger } from '../../../src/ledger/index.ts';
import { systemClock as clock } from '../../../src/processes/clock.ts';
import { isRefusal, RetryableFault } from '../../../src/protocol/failures.ts';
import { createGranter, type Granted } from '../../../src/stations/3-grant/grant.ts';
import { createSceneSlices } from '../../../src/stations/3-grant/slices.ts';
import { createStock } from '../../../src/stations/3-grant/stock.ts';
import { createUpstreamGranter } from '../../../src/stations/3-grant/upstream.ts';
import { openKeyring } from '../../../src/stations/4-seal/keyring.ts';
import { createSealingLine, promisedAt } from '../../../src/stations/4-seal/sealing-line.ts';
import { createCreditor } from '../../../src/stations/5-credit/creditor.ts';
import type { Fen } from '../../../src/vocabulary/fen.ts';
import type { ActId, AppId, PhaseId, PhaseKey, RainId, SceneId } from '../../../src/vocabulary/ids.ts';
import { aloneAs } from '../../../src/vocabulary/person.ts';
import { NOBODY_KNOWS } from '../credited-wins.ts';
import { seeded } from '../orders.ts';
import { openPromises } from '../promises.ts';
import { quiet } from '../quiet.ts';
import { NAMED_FEN_MAX, SCENES } from './campaign.ts';

export interface SpenderPlan {
  readonly name: string;
  readonly url: string;
  readonly journal: string;
  readonly keys: string;
  readonly source: string;
  readonly phaseKey: number;
  readonly seed: number;
  readonly spenders: number;
  /** Its first person; some of those before are asked for again. */
  readonly firstPerson: number;
}

const plan = JSON.parse(process.argv[2]!) as SpenderPlan;
const random = seeded(plan.seed);
const say = (line: string) => process.stdout.write(`${line}\n`);
const broken = (error: unknown): never => {
  process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
  process.exit(70);
};
process.on('unhandledRejection', broken);

const read = readCampaign(plan.source);
if ('problems' in read) throw new Error(JSON.stringify(read.problems));
const campaign = compileCampaign(read.draft, {
  version: 1,
  contentHash: contentHash(read.draft),
  phaseKeys: new Map([['live' as PhaseId, plan.phaseKey as PhaseKey]]),
});

const pool = openPool({ url: plan.url, logger: quiet, connectionsMax: 6, applicationName: plan.name });
const retry = { tries: 10, sleepMs: (ms: number) => delay(ms), random };
const allotments = createAllotments({
  pool,
  randomBelow: (below) => BigInt(Math.floor(random() * Number(below))),
  retry,
});
const ledger = createLedger({ pool, retry });
const promises = await openPromises(plan.journal);
const keyring = openKeyring(plan.keys, clock);
const line = createSealingLine({
  keyring,
  log: promises.log,
  onAppended: (entries) => promises.book.record(entries),
  nowMs: clock.now,
});
const granter = createGranter({
  fateOf: async () => 'unknown',
  creditedWins: NOBODY_KNOWS,
  book: promises.book,
  promise: (order, untilMs) => line.promise(order, untilMs),
  promisedAt: (_, position) => promisedAt(promises.log, position),
  campaign: () => campaign,
});
let finishing = false;

/** Time-outs: what was asked was done, or was not, and nobody says which. */
const lossy: Pick<Allotments, 'lease' | 'returnTail'> = {
  async lease(ask) {
    const slice = await allotments.lease(ask);
    lose(0.08);
    return slice;
  },
  async returnTail(slice, fromIndex, fen) {
    lose(0.1);
    await allotments.returnTail(slice, fromIndex, fen);
    lose(0.1);
  },
};
function lose(probability: number): void {
  if (!finishing && random() < probability)
    throw new RetryableFault('ledger-unavailable', 'the answer was lost', 1);
}

const slices = createSceneSlices({
  granter,
  allotments: lossy,
  holder: plan.name,
  clock,
  logger: quiet,
  isLow: createStock(allotments, clock).isLow,
  times: { dealsFor: 800, grantMargin: 200, maintainEvery: 40, exhaustedFor: 30 },
});
const upstream = createUpstreamGranter({ granter, slices, clock });
const creditor = createCreditor({ ...promises, ledger, clock, logger: quiet, random, onFatal: broken });
const own = async () => (await allotments.unclosed()).filter(({ holder }) => holder === plan.name);
const reclaimer = createReclaimer({
  allotments: { ...allotments, unclosed: own },
  logs: [promises.log],
  ledger,
  refuseSlice: granter.refuseSlice,
  clock,
  logger: quiet,
  marginMs: 50,
  intervalMs: 50,
  onFatal: broken,
});

const credential = { name: 'test', campaignId: campaign.id, scenes: new Set(campaign.scenes.keys()) };

/** A person asks for one scene, with one amount, always the same. */
const sceneOf = (person: number) => SCENES[person % SCENES.length]!.id;
const amountOf = (person: number) =>
  sceneOf(person) === 'named' ? 1 + (Math.floor(person / 10) % 2) * (person % NAMED_FEN_MAX) : undefined;

async function ask(person: number): Promise<Granted | undefined> {
  const amount = amountOf(person);
  for (;;) {
    try {
      const answer = await upstream.grant(credential, {
        campaign,
        scene: campaign.scenes.get(sceneOf(person) as SceneId)!,
        rainId: 1 as RainId,
        appId: 1 as AppId,
        person: aloneAs(BigInt(person) as ActId),
        amountFen: amount === undefined ? undefined : (BigInt(amount) as Fen),
        drawnAtMs: undefined,
      });
      if (!isRefusal(answer)) return answer;
      if (answer.refused === 'budget-exhausted') return undefined;
      if (answer.refused !== 'slice-fenced')
        return broken(new Error(`refused: ${answer.refused}, ${answer.detail}`));
    } catch (error) {
      if (!(error instanceof RetryableFault)) return broken(error);
    }
    await delay(random() * 10);
  }
}

/** Asks, sometimes twice at the same moment, and says what came of it. */
async function spend(person: number): Promise<boolean> {
  const answers = await Promise.all(random() < 0.1 ? [ask(person), ask(person)] : [ask(person)]);
  for (const answer of answers)
    say(answer ? `w ${person} ${answer.order.orderNumber} ${answer.order.amountFen}` : `x ${person}`);
  return answers.some((answer) => answer !== undefined);
}

let next = plan.firstPerson;
const nextPerson = () => {
  next += 1;
  return next - 1;
};

async function spendAtRandom(): Promise<void> {
  while (!finishing) {
    const again = random() < 0.1 ? next - 1 - Math.floor(random() * 40) : 0;
    const won = await spend(again >= plan.firstPerson ? again : nextPerson());
    if (!won) await delay(random() * 40);
  }
}

/** Asks for each scene until even the smallest amount is refused. */
async function spendTheRest(): Promise<void> {
  for (const { id } of SCENES) {
    for (;;) {
      const person = nextPerson();
      if (sceneOf(person) !== id) continue;
      if (!(await spend(person)) && (amountOf(person) ?? 1) === 1) break;
    }
  }
}

const many = (act: () => Promise<void>) => Promise.all(Array.from({ length: plan.spenders }, act));

creditor.start();
reclaimer.start();
slices.start();
say('up');
let spending: Promise<unknown> = many(spendAtRandom);
createInterface({ input: process.stdin })
  .on('line', async () => {
    finishing = true;
    await spending;
    spending = many(spendTheRest);
    await spending;
    while ((await own()).length > 0) await delay(20);
    say('rest');
  })
  .on('close', () => process.exit(0));
