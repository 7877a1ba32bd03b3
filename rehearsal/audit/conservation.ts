import type { HandedOut } from './check-handed-out.ts';
import { creditsOf, PIECES, WALLET } from './check-money.ts';
import type { JournalEntry } from './journal.ts';
import type { Books, Posting } from './ledger.ts';
import type { Conserved, Findings, Share } from './report.ts';
import { keyOfOrder, orderKey } from './token.ts';

const HELD = 2;
const FUNDING = 3;
const PAID_OUT = 4;
/** What has left one wallet of a person for another of theirs and is not there yet. */
const BETWEEN = 7;

interface Evidence {
  readonly orders: ReadonlyMap<string, JournalEntry>;
  readonly books: Books;
  readonly handedOut: HandedOut | undefined;
}

/** What came in at each station is what is there by name, in count and in fen (I8); whatever is not is a finding. */
export function checkConservation(evidence: Evidence, findings: Findings): Conserved[] {
  const { books } = evidence;
  const credits = creditsOf(books);
  const money = credits.filter(({ purse }) => purse === WALLET);
  const pieces = credits.filter(({ purse }) => purse === PIECES);
  const stations = [
    promises('money', money, evidence),
    promises('pieces', pieces, evidence),
    funding(money, pieces, books),
    wallets(money, books),
    awards(pieces, books),
    ...downstreams(evidence),
    budgets(books),
  ];
  for (const { station, came, shares, holds } of stations)
    if (!holds)
      findings.add(
        'I8',
        'what came in is not what is there',
        station,
        `${came.count} (${came.fen} fen) ${came.name}: ${shares.map(said).join(', ')}`,
      );
  return stations;
}

const said = ({ name, count, fen }: Share): string => `${count} (${fen} fen) ${name}`;

interface Sum {
  readonly count: number;
  readonly fen: bigint;
}

const sumOf = <Row>(rows: readonly Row[], fenOf: (row: Row) => bigint): Sum => ({
  count: rows.length,
  fen: rows.reduce((sum, row) => sum + fenOf(row), 0n),
});

function conserved(station: string, came: [string, Sum], shares: Readonly<Record<string, Sum>>): Conserved {
  const parts = Object.entries(shares);
  const total = parts.reduce(
    (sum, [, part]) => ({ count: sum.count + part.count, fen: sum.fen + part.fen }),
    {
      count: 0,
      fen: 0n,
    },
  );
  return {
    station,
    came: share(came),
    shares: parts.map(share),
    holds: total.count === came[1].count && total.fen === came[1].fen,
  };
}

const share = ([name, { count, fen }]: [string, Sum]): Share => ({ name, count, fen: Number(fen) });

const postingFen = (posting: Posting): bigint => posting.amount_fen;

/** Every promise of the log is in the ledger, on its way there, or void. */
function promises(kind: 'money' | 'pieces', credits: readonly Posting[], { orders }: Evidence): Conserved {
  const credited = new Set(credits.map(({ phase_key, ref }) => orderKey(phase_key, ref)));
  const own = [...orders.values()].filter(({ order }) => (order.award === 'cash') === (kind === 'money'));
  const entryFen = ({ order }: JournalEntry): bigint => order.fen;
  return conserved(`${kind}, promised`, ['accepted', sumOf(own, entryFen)], {
    credited: sumOf(credits, postingFen),
    outstanding: sumOf(
      own.filter(({ order, isVoid }) => !isVoid && !credited.has(keyOfOrder(order))),
      entryFen,
    ),
    void: sumOf(
      own.filter(({ isVoid }) => isVoid),
      entryFen,
    ),
  });
}

/** Every credit was taken out of a slice's account, whose postings say how many they were. */
function funding(money: readonly Posting[], pieces: readonly Posting[], { postings }: Books): Conserved {
  const taken = postings.filter(({ purse }) => purse === FUNDING);
  const count = taken.reduce((sum, { slice_index }) => sum + (slice_index ?? 0), 0);
  return conserved(
    'taken from slices',
    ['taken', { count, fen: sumOf(taken, ({ amount_fen }) => -amount_fen).fen }],
    { money: sumOf(money, postingFen), pieces: sumOf(pieces, postingFen) },
  );
}

/** Every fen that was credited is in a wallet, on its way between two or out of one, or paid out. */
function wallets(money: readonly Posting[], { postings }: Books): Conserved {
  const within = (isIt: (posting: Posting) => boolean): Sum => ({
    ...sumOf(postings.filter(isIt), postingFen),
    count: 0,
  });
  const between = within(({ purse }) => purse === BETWEEN);
  return conserved('money, in fen', ['credited', { ...sumOf(money, postingFen), count: 0 }], {
    'in wallets': within(({ act_id, purse }) => act_id > 0n && purse === WALLET),
    ...(between.fen === 0n ? {} : { 'between two wallets': between }),
    'held for withdrawal': within(({ act_id, purse }) => act_id > 0n && purse === HELD),
    'paid out': within(({ act_id, purse }) => act_id === 0n && purse === PAID_OUT),
  });
}

const STATES = ['fulfilled', 'used', 'asking', 'granted', 'dead'] as const;

/** Every piece that was credited is somewhere on its way to its person. */
function awards(pieces: readonly Posting[], books: Books): Conserved {
  const worth = new Map(pieces.map((posting) => [`${posting.phase_key}/${posting.ref}`, posting.amount_fen]));
  const inState = (state: string): Sum =>
    sumOf(
      books.awards.filter((award) => award.state === state),
      ({ phase_key, ref }) => worth.get(`${phase_key}/${ref}`) ?? 0n,
    );
  return conserved(
    'pieces, credited',
    ['credited', sumOf(pieces, postingFen)],
    Object.fromEntries(STATES.map((state) => [state, inState(state)])),
  );
}

/** What downstreams handed out is known to the ledger, or will be when they are asked again. */
function downstreams({ handedOut }: Evidence): Conserved[] {
  if (!handedOut) return [];
  const { count, known } = handedOut;
  return [
    conserved('pieces, downstream', ['handed out', { count, fen: 0n }], {
      'known of': { count: known, fen: 0n },
      'to be heard of': { count: count - known, fen: 0n },
    }),
  ];
}

/** Every total of a scene is given, out in slices, or still there. */
function budgets({ lines }: Books): Conserved {
  const scenes = lines.filter(({ rain_id, rule }) => rain_id === 0 && rule !== 'level');
  const of = (
    packets: (line: Books['lines'][number]) => bigint,
    fen: (line: Books['lines'][number]) => bigint,
  ) => ({
    count: Number(scenes.reduce((sum, line) => sum + packets(line), 0n)),
    fen: scenes.reduce((sum, line) => sum + fen(line), 0n),
  });
  return conserved(
    'budgets of scenes',
    [
      'planned',
      of(
        (line) => line.total_packets,
        (line) => line.total_fen,
      ),
    ],
    {
      given: of(
        (line) => line.given_packets,
        (line) => line.given_fen,
      ),
      'in slices': of(
        (line) => line.leased_packets,
        (line) => line.leased_fen,
      ),
      remaining: of(
        (line) => line.remaining_packets,
        (line) => line.remaining_fen,
      ),
    },
  );
}
