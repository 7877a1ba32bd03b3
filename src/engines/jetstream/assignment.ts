/** Which creditor owns which bucket: the document that they all share, and its next version. Pure. */

export interface Member {
  /** Goes up each time the member writes. Whoever sees it stand still long enough holds the member for dead. */
  readonly beat: number;
  /** Is giving up what it owns, and takes nothing more. */
  readonly leaving: boolean;
}

export interface Ownership {
  /** Undefined: nobody; the next owner's epoch is one higher all the same. */
  readonly holder: string | undefined;
  readonly epoch: number;
}

export interface Assignment {
  readonly members: Readonly<Record<string, Member>>;
  /** By bucket. */
  readonly owners: readonly Ownership[];
}

export interface Turn {
  readonly me: string;
  readonly leaving: boolean;
  /** Members whose beat has stood still for the whole time that a lease lasts. */
  readonly dead: ReadonlySet<string>;
  /** Buckets of mine that I have put down. */
  readonly released: ReadonlySet<number>;
  /** Buckets that I am still putting down, or could not open: I take none of them now. */
  readonly busy: ReadonlySet<number>;
  /** Epochs that were seen elsewhere, by bucket: the next one is higher, even if the document was lost. */
  readonly epochsSeen: ReadonlyMap<number, number>;
}

export interface Move {
  readonly next: Assignment;
  /** What I own after it, with the epoch. */
  readonly mine: ReadonlyMap<number, number>;
  /** What I should put down, so that the others get their share. */
  readonly surplus: readonly number[];
  /** Whether others have a reason to look at once. */
  readonly concernsOthers: boolean;
}

export const emptyAssignment = (buckets: number): Assignment => ({
  members: {},
  owners: Array.from({ length: buckets }, () => ({ holder: undefined, epoch: 0 })),
});

/**
 * What I write next: the dead are struck out and their buckets free, what I have put down is free, and I take free
 * ones up to my share.
 */
export function takeTurn(now: Assignment, turn: Turn): Move {
  const members = nextMembers(now, turn);
  const owners = now.owners.map((one, bucket): Ownership => {
    const gone = one.holder !== undefined && !members[one.holder];
    const putDown = one.holder === turn.me && turn.released.has(bucket);
    return gone || putDown ? { holder: undefined, epoch: one.epoch } : one;
  });
  const share = shares(members, owners).get(turn.me) ?? 0;
  const mine = new Map<number, number>();
  for (const [bucket, one] of owners.entries()) if (one.holder === turn.me) mine.set(bucket, one.epoch);
  for (const [bucket, one] of owners.entries()) {
    if (mine.size >= share) break;
    if (one.holder !== undefined || turn.busy.has(bucket)) continue;
    const epoch = Math.max(one.epoch, turn.epochsSeen.get(bucket) ?? 0) + 1;
    owners[bucket] = { holder: turn.me, epoch };
    mine.set(bucket, epoch);
  }
  const surplus = [...mine.keys()].slice(share);
  const concernsOthers = turn.released.size > 0 || !now.members[turn.me] || turn.dead.size > 0;
  return { next: { members, owners }, mine, surplus, concernsOthers };
}

function nextMembers(now: Assignment, turn: Turn): Record<string, Member> {
  const members: Record<string, Member> = {};
  for (const [id, member] of Object.entries(now.members)) if (!turn.dead.has(id)) members[id] = member;
  members[turn.me] = { beat: (now.members[turn.me]?.beat ?? 0) + 1, leaving: turn.leaving };
  return members;
}

/** My last word: I am gone, and so is everything I held. */
export function withoutMember(now: Assignment, me: string): Assignment {
  const { [me]: _gone, ...members } = now.members;
  const owners = now.owners.map((one) => (one.holder === me ? { ...one, holder: undefined } : one));
  return { members, owners };
}

/**
 * How many buckets each member should own: equal parts, the remainder to those who hold the most already (then by
 * name), so that a newcomer moves as few buckets as can be.
 */
function shares(
  members: Readonly<Record<string, Member>>,
  owners: readonly Ownership[],
): Map<string, number> {
  const held = new Map<string, number>();
  for (const { holder } of owners) if (holder !== undefined) held.set(holder, (held.get(holder) ?? 0) + 1);
  const staying = Object.keys(members).filter((id) => !members[id]!.leaving);
  staying.sort((a, b) => (held.get(b) ?? 0) - (held.get(a) ?? 0) || (a < b ? -1 : 1));
  const each = Math.floor(owners.length / Math.max(1, staying.length));
  const more = owners.length - each * staying.length;
  return new Map(staying.map((id, at) => [id, each + (at < more ? 1 : 0)]));
}
