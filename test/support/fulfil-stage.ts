import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { createHttpConnector } from '../../src/engines/connector-http/index.ts';
import { sandboxEntry } from '../../src/engines/embedded/award-sandbox/entry.ts';
import {
  type AwardSandbox,
  type CountedPiece,
  startAwardSandbox,
} from '../../src/engines/embedded/award-sandbox/index.ts';
import type { Award, Connector } from '../../src/engines/ports.ts';
import {
  createFulfiller,
  type Downstream,
  type Fulfiller,
  type FulfillerOptions,
} from '../../src/stations/6-fulfil/fulfiller.ts';
import { anOrder } from './orders.ts';
import { awardOfScene, fastClock, pieceCampaign } from './pieces.ts';
import { quiet } from './postgres.ts';
import { ledgerFaults, type Rig, startRig, until } from './rig.ts';
import { behave } from './sandbox.ts';

/** A claim of some seconds is over in a blink. */
const SPEED = 100;

/** The same downstream whenever it is asked for: operations change nothing meanwhile. */
const steady = (downstream: FulfillerOptions['downstream']): FulfillerOptions['downstream'] => {
  const known = new Map<string, Downstream>();
  return (name) => {
    const found = known.get(name) ?? downstream(name);
    if (found) known.set(name, found);
    return found;
  };
};

/** A downstream of the test's own making. */
export const through = (connector: Partial<Connector>, more: Partial<Downstream> = {}): Downstream => ({
  connector: {
    name: 'drinks-shop',
    give: async () => ({ answer: 'fulfilled' }),
    query: async () => ({ answer: 'unheard-of' }),
    ...connector,
  },
  timeoutMs: 100,
  concurrencyMax: 4,
  perSecondMax: undefined,
  ...more,
});

/** For the tests of a file: a ledger for all of them, and for each a sandbox of every downstream, and its fulfillers. */
export function fulfilStage() {
  const clock = fastClock(SPEED);
  const fulfillers: Fulfiller[] = [];
  const fatal: unknown[] = [];
  /** `connector state` of each piece that was settled, `connector answer` of each question; in their order. */
  const settledAs: string[] = [];
  const answers: string[] = [];
  let rig: Rig;
  let sandbox: AwardSandbox;
  let people = 0;
  let tests = 0;

  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    tests += 1;
    for (const list of [fulfillers, fatal, settledAs, answers]) list.length = 0;
    const folder = rig.folder(`sandbox-${tests}`);
    sandbox = await startAwardSandbox({ port: 0, folder, clock, logger: quiet });
  });
  afterEach(async () => {
    for (const fulfiller of fulfillers) await fulfiller.stop();
    await sandbox.stop();
    // The next test's fulfiller looks at everything that is due.
    for (const one of await rig.ledger.stuckAwards(0, undefined, 1_000)) await settle(one);
    for (const one of await rig.ledger.dueAwards((clock.now() * 2) as never, 1_000)) await settle(one);
  });
  const settle = ({ account, orderNumber }: Award) =>
    rig.ledger.settleAward(account, orderNumber, { state: 'fulfilled' });

  const viaSandbox = (name: string, timeoutMs = 10_000): Downstream => ({
    connector: createHttpConnector({
      entry: { ...sandboxEntry(name, sandbox.url), timeoutMs },
      secretOf: () => '',
      nowMs: clock.now,
    }),
    timeoutMs,
    concurrencyMax: 4,
    perSecondMax: undefined,
  });
  const startFulfiller = ({
    downstream = (name) => viaSandbox(name),
    isSteady = true,
    ...more
  }: Partial<FulfillerOptions> & { isSteady?: boolean } = {}): Fulfiller => {
    const fulfiller = createFulfiller({
      awards: rig.ledger,
      downstream: isSteady ? steady(downstream) : downstream,
      campaigns: () => [pieceCampaign],
      clock,
      logger: quiet,
      random: Math.random,
      onFatal: (error) => fatal.push(error),
      onAnswer: (connector, answer) => answers.push(`${connector} ${answer}`),
      onSettled: (connector, state) => settledAs.push(`${connector} ${state}`),
      retryMs: 4 * SPEED,
      retryMsMax: 20 * SPEED,
      sweepMs: 10,
      strayMs: 30,
      probeMsFirst: 20,
      ...more,
    });
    fulfillers.push(fulfiller);
    fulfiller.start();
    return fulfiller;
  };
  const pieces = async () => (await (await fetch(`${sandbox.url}/pieces`)).json()) as CountedPiece[];

  const grant = async (scene = 'tea', rain = 1): Promise<Award> => {
    people += 1;
    const order = anOrder({ person: people, scene, rain, award: awardOfScene(scene), fen: 1_900 });
    await rig.ledger.credit([order]);
    return (await rig.ledger.award({ actId: order.actId, phaseKey: order.phaseKey }, order.orderNumber))!;
  };
  const now = async (one: Award): Promise<Award> => (await rig.ledger.award(one.account, one.orderNumber))!;

  return {
    clock,
    fulfillers,
    fatal,
    settledAs,
    answers,
    /** Of this file; there is none before its tests begin. */
    rig: () => rig,
    viaSandbox,
    /** For downstreams that do not answer; one that does may be taken for silent too, on a busy machine. */
    impatient: (name: string) => viaSandbox(name, 150),
    startFulfiller,
    behave: (how: object) => behave(sandbox, how),
    pieces,
    grant,
    grants: (count: number, scene?: string) => Promise.all(Array.from({ length: count }, () => grant(scene))),
    now,
    ended: (one: Award) =>
      until(
        async () => ['fulfilled', 'dead'].includes((await now(one)).state),
        `${one.orderNumber} has ended`,
      ),
    fulfilledOf: async (all: readonly Award[]): Promise<number> =>
      (await Promise.all(all.map(now))).filter(({ state }) => state === 'fulfilled').length,
    /** Handed out once and with the shop's own code when fulfilled, never when dead; and the ledger's sums hold. */
    async assertRight(one: Award, end: 'fulfilled' | 'dead'): Promise<void> {
      const piece = (await pieces()).find(({ orderNumber }) => orderNumber === one.orderNumber);
      const { state, voucher } = await now(one);
      expect({ state, voucher, times: piece?.handedOutTimes ?? 0 }).toEqual(
        end === 'fulfilled'
          ? { state: 'fulfilled', voucher: piece?.voucher, times: 1 }
          : { state: 'dead', voucher: undefined, times: 0 },
      );
      if (end === 'fulfilled') expect(voucher).toMatch(/^[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}$/);
      expect([await ledgerFaults(rig.pool), fatal]).toEqual([[], []]);
    },
  };
}
