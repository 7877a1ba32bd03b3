import { describe, expect, it } from 'vitest';
import type { CampaignSnapshot } from '../../src/campaign/snapshot.ts';
import type { KnownWin, TokenBook, Win } from '../../src/engines/ports.ts';
import type { Player } from '../../src/guard/player.ts';
import { createMac, createSealbox } from '../../src/guard/sealbox.ts';
import { isRefusal, RetryableFault } from '../../src/protocol/failures.ts';
import { createPlay, type PlayDeps, type ShakeAnswer } from '../../src/stations/1-play/play.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, RainId, SceneId, SliceId, SponsorId } from '../../src/vocabulary/ids.ts';
import { instantMs } from '../../src/vocabulary/instant.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';
import { LIVE_OPENS_MS, playerOf, testCampaign } from '../support/campaign.ts';
import { NOBODY_KNOWS } from '../support/credited-wins.ts';
import { createGrantWorld, type Fate, type GrantWorld } from '../support/grants.ts';

/** Rounds of 10 s with a pause of 10 s behind each; the first begins with the phase. */
const ROUND_MS = 10_000;
const ROUND_7_MS = LIVE_OPENS_MS + 1_000;
const PAUSE_MS = ROUND_7_MS + ROUND_MS;
const ROUND_8_MS = PAUSE_MS + ROUND_MS;
/** As long as a gateway waits before it asks the book again. */
const AGAIN_MS = 1_000;
const SCENE = 'cash' as SceneId;
const HELLO = { zh: '新年好', en: 'Happy new year' };
const [gray, live] = testCampaign.phases;

const campaign: CampaignSnapshot = {
  ...testCampaign,
  sponsors: new Map([
    [
      'panda' as SponsorId,
      { id: 'panda' as SponsorId, name: { zh: '熊猫', en: 'Panda' }, greetings: [HELLO] },
    ],
  ]),
  phases: [
    gray!,
    {
      ...live!,
      series: [
        {
          firstRainId: 7 as RainId,
          startsAtMs: instantMs(LIVE_OPENS_MS),
          everyMs: 2 * ROUND_MS,
          lastsMs: ROUND_MS,
          count: 3,
          deals: [{ sceneId: SCENE, packets: 100, budgetFen: 10_000n as Fen }],
        },
      ],
    },
  ],
};

/** What the book says of whom. */
interface Said {
  /** Ids of whom it says nothing; 'all' when it is away. */
  silentOn: 'all' | readonly ActId[];
  isWhole: boolean;
  wins: readonly Win[];
  asked: number;
}

const won = (player: Player, rain: number): Win => {
  const parts = { actId: player.actId, sceneId: SCENE, rainId: rain as RainId };
  const orderNumber = formatOrderNumber({ ...parts, awardType: 'cash', stage: live!.id });
  return { orderNumber, ...parts, position: { sequence: 1, leafIndex: 0 } };
};

function world(said: Partial<Said> = {}) {
  const book: Said = { silentOn: [], isWhole: true, wins: [], asked: 0, ...said };
  let atMs = ROUND_7_MS;
  const answer = async <Answer>(actId: ActId, act: () => Answer): Promise<Answer> => {
    book.asked += 1;
    if (book.silentOn === 'all' || book.silentOn.includes(actId))
      throw new RetryableFault('book-unavailable', 'away, as the test has it', 1);
    return act();
  };
  return {
    book,
    at(nowMs: number) {
      atMs = nowMs;
    },
    gateway: (over: Partial<PlayDeps> = {}) =>
      gatewayOf({
        // A clock that goes on by itself is none of a test's: both are one here.
        clock: { now: () => instantMs(atMs), monotonicMs: () => atMs },
        book: {
          winsOf: (actId: ActId) =>
            answer(actId, () => book.wins.filter((win) => win.orderNumber.startsWith(`${actId}_`))),
          isWhole: (actId: ActId) => answer(actId, () => book.isWhole),
        } as unknown as TokenBook,
        ...over,
      }),
  };
}

function gatewayOf(deps: Pick<PlayDeps, 'clock' | 'book'> & Partial<PlayDeps>, sliceId = 1) {
  const notAsked = () => Promise.reject(new Error('nobody opens anything here'));
  let index = 0;
  return createPlay({
    creditedWins: NOBODY_KNOWS,
    dealer: {
      start() {},
      stop: async () => {},
      maintain: async () => {},
      deal() {
        index += 1;
        const unit = { sliceId: BigInt(sliceId) as SliceId, epoch: 1, index };
        return { unit, amountFen: 100n as Fen, grantUntilMs: instantMs(LIVE_OPENS_MS + 600_000) };
      },
    },
    // Always the first scene, and a greeting whenever there is no packet.
    random: () => 0,
    tickets: createSealbox(Buffer.alloc(32, 1), 'hongbao.ticket.v1'),
    claims: createMac(Buffer.alloc(32, 2), 'hongbao.claim.v1'),
    grant: notAsked,
    granted: notAsked,
    ...deps,
  });
}

type Gateway = ReturnType<typeof gatewayOf>;

async function shake(
  gateway: Gateway,
  player: Player,
  record: Uint8Array = new Uint8Array(),
): Promise<ShakeAnswer> {
  const answer = await gateway.shake(player, campaign, record);
  if (isRefusal(answer)) throw new Error(answer.refused);
  return answer;
}
const prizeOf = async (...shaken: Parameters<typeof shake>): Promise<string> =>
  (await shake(...shaken)).prize.prize;

const person = playerOf(1);
const alias = playerOf(2).actId;
const joined: Player = { ...person, aliases: [alias] };

describe('somebody whom a gateway does not know', () => {
  it.each([
    ['is away', { silentOn: 'all' as const }],
    ['may have forgotten something', { isWhole: false }],
  ])(
    'is greeted and dealt nothing in that round while the book %s; from the next on they play',
    async (_, said) => {
      const night = world(said);
      const gateway = night.gateway();
      for (let atMs = ROUND_7_MS; atMs < PAUSE_MS - 1_000; atMs += 700) {
        night.at(atMs);
        expect(await prizeOf(gateway, person)).toBe('greeting');
      }
      night.at(ROUND_8_MS);
      expect(await prizeOf(gateway, person)).toBe('ticket');
      // One a round, as everybody has it.
      expect(await prizeOf(gateway, person)).toBe('greeting');
    },
  );

  it('plays as soon as the book is back, in the same round, and what it says counts', async () => {
    const night = world({ silentOn: 'all', wins: [won(playerOf(3), 7)] });
    const gateway = night.gateway();
    for (const player of [person, playerOf(3)]) expect(await prizeOf(gateway, player)).toBe('greeting');
    night.book.silentOn = [];
    night.at(ROUND_7_MS + AGAIN_MS);
    expect(await prizeOf(gateway, person)).toBe('ticket');
    expect(await prizeOf(gateway, playerOf(3))).toBe('greeting');
    night.at(ROUND_8_MS);
    expect(await prizeOf(gateway, playerOf(3))).toBe('ticket');
  });

  it('asks for the book at most once a second, and never again once it has vouched', async () => {
    const night = world({ isWhole: false });
    const gateway = night.gateway();
    for (let shakes = 0; shakes < 50; shakes += 1) await shake(gateway, person);
    expect(night.book.asked).toBe(2);
    night.at(ROUND_7_MS + AGAIN_MS - 1);
    await shake(gateway, person);
    expect(night.book.asked).toBe(2);
    night.book.isWhole = true;
    night.at(ROUND_7_MS + AGAIN_MS);
    await shake(gateway, person);
    expect(night.book.asked).toBe(5);
    night.at(ROUND_8_MS);
    await shake(gateway, person);
    expect(night.book.asked).toBe(5);
  });

  it('plays in the same round once the ledger has vouched, and what that says counts', async () => {
    const night = world({ silentOn: 'all' });
    let isAll = false;
    const wins: KnownWin[] = [won(playerOf(3), 7)];
    const gateway = night.gateway({
      creditedWins: {
        beside: async (actId) => ({
          wins: wins.filter(({ orderNumber }) => orderNumber.startsWith(`${actId}_`)),
          isAll,
        }),
      },
    });
    for (const player of [person, playerOf(3)]) expect(await prizeOf(gateway, player)).toBe('greeting');
    isAll = true;
    night.at(ROUND_7_MS + AGAIN_MS);
    expect(await prizeOf(gateway, person)).toBe('ticket');
    expect(await prizeOf(gateway, playerOf(3))).toBe('greeting');
    night.at(ROUND_8_MS);
    expect(await prizeOf(gateway, playerOf(3))).toBe('ticket');
  });

  it('misses nothing of a round that began after they came', async () => {
    const night = world({ silentOn: 'all' });
    const gateway = night.gateway();
    night.at(PAUSE_MS);
    expect(await prizeOf(gateway, person)).toBe('greeting');
    night.at(ROUND_8_MS);
    expect(await prizeOf(gateway, person)).toBe('ticket');
  });

  it('is one until every id that was joined has been answered for', async () => {
    const night = world({ silentOn: [alias] });
    const gateway = night.gateway();
    // The elder alone is known; then a phone number joins the two.
    night.at(PAUSE_MS);
    expect(await prizeOf(gateway, person)).toBe('greeting');
    night.at(ROUND_8_MS);
    expect(await prizeOf(gateway, joined)).toBe('greeting');
    night.book.silentOn = [];
    night.at(ROUND_8_MS + AGAIN_MS);
    expect(await prizeOf(gateway, joined)).toBe('ticket');
  });
});

describe('while the book is away, a change of gateways', () => {
  it('never has two packets of one round dealt, whatever record the phone shows', async () => {
    const night = world();
    const [first, second] = [night.gateway(), night.gateway()];
    night.book.silentOn = 'all';
    night.at(PAUSE_MS);
    await shake(first, person);
    night.at(ROUND_8_MS);
    const { prize, claimRecord } = await shake(first, person);
    expect(prize.prize).toBe('ticket');
    // None, the newest, and one that a cheat has kept: it says less than is true, and nobody here can tell.
    const older = (await shake(world().gateway(), person)).claimRecord!;
    night.at(ROUND_8_MS + AGAIN_MS);
    for (const record of [new Uint8Array(), claimRecord!, older])
      expect(await prizeOf(second, person, record)).toBe('greeting');
  });

  it('takes nothing from those who stay where they are known', async () => {
    const night = world();
    const gateway = night.gateway();
    expect(await prizeOf(gateway, person)).toBe('ticket');
    night.book.silentOn = 'all';
    night.at(ROUND_8_MS);
    expect(await prizeOf(gateway, person)).toBe('ticket');
  });
});

describe('a packet that is opened too late', () => {
  const opened = { orderNumber: '', token: Buffer.from('first') };

  async function lateTicket(night: ReturnType<typeof world>, granted: PlayDeps['granted']) {
    const gateway = night.gateway({ granted });
    const { prize } = await shake(gateway, person);
    if (prize.prize !== 'ticket') throw new Error(prize.prize);
    night.at(ROUND_7_MS + campaign.ticketTtlMs + 1);
    return { gateway, ticket: prize.ticket };
  }

  it('is not given up while neither book nor ledger can say whether another gateway opened it in time', async () => {
    const night = world();
    const grants = createGrantWorld();
    const { gateway, ticket } = await lateTicket(night, (order, who) => grants.granter().recall(order, who));
    grants.setBookAway(true);
    await expect(gateway.open(person, campaign, ticket)).rejects.toMatchObject({ kind: 'book-unavailable' });
    grants.setLedgerVouches(true);
    expect(await gateway.open(person, campaign, ticket)).toMatchObject({ refused: 'ticket-expired' });
    grants.setLedgerVouches(false);
    grants.setBookAway(false);
    expect(await gateway.open(person, campaign, ticket)).toMatchObject({ refused: 'ticket-expired' });
  });

  it('is what it was when it was opened in time, book or no book', async () => {
    const night = world();
    const { gateway, ticket } = await lateTicket(night, async (order) => ({
      ...opened,
      order,
      replayed: true,
    }));
    night.book.silentOn = 'all';
    expect(await gateway.open(person, campaign, ticket)).toMatchObject({ token: opened.token });
  });
});

describe('a packet that is opened in time, and asked for again too late', () => {
  /** A gateway whose log answers when the test says so, and its ticket, opened. */
  async function opened(fate: Fate) {
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let nowMs: number = ROUND_7_MS;
    let became: 'credited' | 'void' | 'unknown' = 'unknown';
    let nextFate = fate;
    const grants = createGrantWorld({
      pause: () => answered,
      fate: () => nextFate,
      fateOf: () => became,
    });
    const gateway = gatewayOf({
      clock: { now: () => instantMs(nowMs), monotonicMs: () => 0 },
      book: grants.book(),
      grant: (order, _, who) => grants.granter().grant(order, undefined, who),
      granted: (order, who) => grants.granter().recall(order, who),
    });
    const { prize } = await shake(gateway, person);
    if (prize.prize !== 'ticket') throw new Error(prize.prize);
    const first = gateway.open(person, campaign, prize.ticket);
    nowMs += campaign.ticketTtlMs + 1;
    const decide = (what: typeof became, then: Fate = fate): void => {
      became = what;
      nextFate = then;
    };
    return { gateway, ticket: prize.ticket, first, answer, decide };
  }

  it('is waited for while its first try is under way', async () => {
    const { gateway, ticket, first, answer } = await opened('kept');
    const again = gateway.open(person, campaign, ticket);
    answer();
    expect(await again).toEqual(await first);
  });

  it('is not given up while nobody knows what became of its first try, and then it is what that says', async () => {
    const { gateway, ticket, first, answer, decide } = await opened('lost behind');
    answer();
    await expect(first).rejects.toMatchObject({ kind: 'outcome-unknown' });
    await expect(gateway.open(person, campaign, ticket)).rejects.toMatchObject({ kind: 'outcome-unknown' });
    decide('credited', 'kept');
    const told = await gateway.open(person, campaign, ticket);
    expect(told).toMatchObject({ amountFen: 100n });
    expect(await gateway.open(person, campaign, ticket)).toEqual(told);
  });

  it('has gone back into the rain when its first try is void', async () => {
    const { gateway, ticket, first, answer, decide } = await opened('lost before');
    answer();
    await expect(first).rejects.toMatchObject({ kind: 'outcome-unknown' });
    decide('void');
    expect(await gateway.open(person, campaign, ticket)).toMatchObject({ refused: 'ticket-expired' });
  });
});

describe('a ticket that is shown to two gateways', () => {
  const gatewayIn = (grants: GrantWorld): Gateway =>
    gatewayOf({
      clock: { now: () => instantMs(ROUND_7_MS), monotonicMs: () => 0 },
      book: grants.book(),
      grant: (order, _, who) => grants.granter().grant(order, undefined, who),
      granted: (order) => grants.granter().recall(order),
    });

  it('is the same packet at both, though the book is away: one order number, one amount, one unit', async () => {
    const [here, there] = [createGrantWorld(), createGrantWorld()];
    const { prize } = await shake(gatewayIn(here), person);
    if (prize.prize !== 'ticket') throw new Error(prize.prize);
    for (const grants of [here, there]) grants.setBookAway(true);
    const [first, second, again] = [
      await gatewayIn(here).open(person, campaign, prize.ticket),
      await gatewayIn(there).open(person, campaign, prize.ticket),
      await gatewayIn(there).open(person, campaign, prize.ticket),
    ];
    for (const answer of [first, second, again]) if (isRefusal(answer)) throw new Error(answer.refused);
    expect([here.log.length, there.log.length]).toEqual([1, 1]);
    expect(there.log).toEqual(here.log);
    expect(second).toMatchObject({ order: here.log[0]!, amountFen: 100n });
    expect(again).toEqual(second);
  });
});
