/** Packets and money. */
export interface Amount {
  readonly packets: bigint;
  readonly fen: bigint;
}

/** What a slice is cut for: the scene's own line, the round's where there is a round. */
export interface OwnLine {
  readonly rule: 'split' | 'fixed' | 'given' | 'piece';
  /** No packet is worth more; of a piece, what each is worth. */
  readonly capFen: bigint;
  readonly remaining: Amount;
}

/** A budget that a slice is paid from: the own line and every total above it. */
export interface PayingLine {
  readonly remaining: Amount;
  readonly leased: Amount;
  /** Who has a slice of it in hand, the asker included; at least 1. */
  readonly holders: number;
}

export interface ShareWanted {
  readonly packets: bigint;
  /** For a `given` scene: how much money is wanted, and with how little nothing could be granted. */
  readonly fen?: bigint;
  readonly fenLeast?: bigint;
}

/**
 * How much is leased at once: at most what is wanted, at most a fair part of what remains in each line (`fairPart`),
 * and exactly what every line can pay: the biggest number of packets. Undefined when not one packet can be paid.
 */
export function shareOf(own: OwnLine, lines: readonly PayingLine[], wanted: ShareWanted): Amount | undefined {
  if (lines.some(({ remaining }) => remaining.packets < 1n)) return undefined;
  // Totals that were changed while slices were out: no two packets of it would be alike.
  if (own.rule === 'fixed' && own.remaining.fen < own.remaining.packets) return undefined;
  const fair = lines.map(fairPart);
  if (own.rule === 'given') return givenShare(lines, fair, wanted);
  const packets =
    mostPackets(own, fair, wanted.packets) ||
    mostPackets(
      own,
      lines.map(({ remaining }) => remaining),
      1n,
    );
  return packets > 0n ? { packets, fen: fenOf(own, packets) } : lastOf(own, lines);
}

/**
 * At most half of what remains, divided among those who hold: slices shrink as the budget nears its end, nobody holds
 * the last ones idle, and a first lease of everybody leaves at least half of it in the line ((1 − 1/2n)ⁿ ≥ 1/2).
 */
export const fairPart = ({ remaining, holders }: Pick<PayingLine, 'remaining' | 'holders'>): Amount => ({
  packets: ceilOver(remaining.packets, 2n * BigInt(holders)),
  fen: ceilOver(remaining.fen, 2n * BigInt(holders)),
});

/** The biggest number up to `most` that every limit can pay; what packets cost never falls with their number. */
function mostPackets(own: OwnLine, limits: readonly Amount[], most: bigint): bigint {
  const fenMost = smallest(...limits.map(({ fen }) => fen));
  let [pays, over] = [0n, smallest(most, ...limits.map(({ packets }) => packets)) + 1n];
  while (over - pays > 1n) {
    const middle = (pays + over) / 2n;
    if (fenOf(own, middle) <= fenMost) pays = middle;
    else over = middle;
  }
  return pays;
}

/**
 * What so many packets of the line cost: of a split one its proportional part, so that what stays can be paid again,
 * because the mean of both parts stays between 1 fen and the cap. A line whose totals were changed while slices were
 * out may hold more money than its packets can carry, or less than a fen for each: then the cap, or 1 fen a packet.
 */
function fenOf({ rule, capFen, remaining }: OwnLine, packets: bigint): bigint {
  if (rule === 'piece') return packets * capFen;
  if (rule === 'fixed') return packets * smallest(remaining.fen / remaining.packets, capFen);
  const part = smallest((remaining.fen * packets) / remaining.packets, packets * capFen);
  return part < packets ? packets : part;
}

/**
 * A total above holds less than one packet's share, and nobody has any of it out that might come back: what it holds
 * goes out as one smaller packet, so that its last fen is given too. Only where amounts are cut at random anyway.
 */
function lastOf(own: OwnLine, lines: readonly PayingLine[]): Amount | undefined {
  if (own.rule !== 'split') return undefined;
  const fen = smallest(...lines.map(({ remaining }) => remaining.fen));
  const isLast = lines.every(({ remaining, leased }) => remaining.fen >= fenOf(own, 1n) || leased.fen === 0n);
  return isLast && fen > 0n ? { packets: 1n, fen } : undefined;
}

/** Upstreams name the amounts later: as much money as is wanted and fair, but no less than the grant that waits. */
function givenShare(
  lines: readonly PayingLine[],
  fair: readonly Amount[],
  { packets, fen = 1n, fenLeast = 1n }: ShareWanted,
): Amount | undefined {
  const most = smallest(...lines.map(({ remaining }) => remaining.fen));
  if (most < fenLeast) return undefined;
  const part = smallest(fen, ...fair.map((one) => one.fen));
  return {
    packets: smallest(packets, ...fair.map((one) => one.packets)),
    fen: part < fenLeast ? fenLeast : part,
  };
}

/**
 * How long is dealt from a slice, in ms: a slice that came out smaller than it was wanted is of a budget near its end,
 * and goes back sooner when nobody comes for it.
 */
export function dealSpanMs(spanMs: number, got: number, wanted: number): number {
  return Math.min(spanMs, Math.max(DEAL_SPAN_MS_LEAST, Math.ceil((spanMs * got) / Math.max(1, wanted))));
}

const DEAL_SPAN_MS_LEAST = 5_000;

const ceilOver = (amount: bigint, parts: bigint): bigint => (amount + parts - 1n) / parts;
const smallest = (...amounts: bigint[]): bigint => amounts.reduce((a, b) => (a < b ? a : b));
