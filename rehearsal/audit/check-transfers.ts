import type { Catalog, LedgerRows, Posting } from './ledger.ts';
import type { Findings } from './report.ts';

const WALLET = 1;
const TRANSFER = 7;
const REF = /^transfer:([1-9][0-9]*):([1-9][0-9]*):[1-9][0-9]*(:arrived)?$/;

interface Legs {
  readonly phaseKey: number;
  readonly from: bigint;
  readonly to: bigint;
  /** By step: what it took where, and what it brought where. */
  readonly left: bigint[];
  readonly kept: bigint[];
  readonly got: bigint[];
  readonly passed: bigint[];
  readonly letGo: bigint[];
  readonly settled: bigint[];
}

/**
 * Money moves between the ids of one person only, all of it in pairs (I1, I6): it left a wallet for the same account's
 * purse 7, it came into the other wallet out of (0, purse 7), and purse 7 let go of it. At rest nothing is between two
 * wallets, and aliases have nothing. `atOnce`: everything was read at one moment, so what arrived must have left.
 */
export function checkTransfers(
  books: LedgerRows,
  { aliases }: { readonly aliases: readonly Pick<Catalog['aliases'][number], 'act_id' | 'root_act_id'>[] },
  { settled, atOnce }: { readonly settled: boolean; readonly atOnce: boolean },
  findings: Findings,
): void {
  const rootOf = new Map(aliases.map((alias) => [alias.act_id, alias.root_act_id]));
  for (const [alias, root] of rootOf) {
    if (root >= alias) findings.add('I1', 'an alias is older than its person', String(alias));
    if (rootOf.has(root)) findings.add('I1', 'an alias’s person is an alias too', String(alias));
  }
  for (const [ref, legs] of transfersOf(books, findings)) {
    const where = `${ref} of phase ${legs.phaseKey}`;
    const isOnes = rootOf.has(legs.from) && rootOf.get(legs.from) === (rootOf.get(legs.to) ?? legs.to);
    if (!isOnes) findings.add('I1', 'money was moved from one person to another', where);
    checkLegs(legs, where, { settled, atOnce }, findings);
  }
  if (settled) checkAtRest(books, rootOf, findings);
}

function transfersOf(books: LedgerRows, findings: Findings): ReadonlyMap<string, Legs> {
  const transfers = new Map<string, Legs>();
  for (const posting of books.postings) {
    const match = REF.exec(posting.ref);
    const isTransfer = posting.purse === TRANSFER || posting.ref.startsWith('transfer');
    if (!match) {
      if (isTransfer) findings.add('I1', 'a transfer is not one', posting.ref);
      continue;
    }
    const name = posting.ref.replace(/:arrived$/, '');
    const key = `${name} ${posting.phase_key}`;
    const legs = transfers.get(key) ?? noLegs(posting.phase_key, BigInt(match[1]!), BigInt(match[2]!));
    transfers.set(key, legs);
    const leg = legOf(posting, legs, match[3] !== undefined);
    if (leg) leg.push(posting.amount_fen);
    else findings.add('I1', 'a transfer has a leg in an account of somebody else', posting.ref);
  }
  return transfers;
}

const noLegs = (phaseKey: number, from: bigint, to: bigint): Legs => ({
  phaseKey,
  from,
  to,
  left: [],
  kept: [],
  got: [],
  passed: [],
  letGo: [],
  settled: [],
});

function legOf(posting: Posting, legs: Legs, isArrival: boolean): bigint[] | undefined {
  const { act_id, purse, slice_id } = posting;
  if (slice_id !== null) return undefined;
  if (isArrival) {
    if (purse !== TRANSFER) return undefined;
    return act_id === legs.from ? legs.letGo : act_id === 0n ? legs.settled : undefined;
  }
  if (purse === WALLET) return act_id === legs.from ? legs.left : act_id === legs.to ? legs.got : undefined;
  if (purse !== TRANSFER) return undefined;
  return act_id === legs.from ? legs.kept : act_id === 0n ? legs.passed : undefined;
}

/** Each step has both of its legs, of the same amount; no step without the one before it. */
function checkLegs(
  legs: Legs,
  where: string,
  { settled, atOnce }: { readonly settled: boolean; readonly atOnce: boolean },
  findings: Findings,
): void {
  const steps = [
    [legs.left, legs.kept],
    [legs.passed, legs.got],
    [legs.letGo, legs.settled],
  ] as const;
  const amount = legs.kept[0] ?? legs.got[0] ?? legs.settled[0] ?? 0n;
  for (const [out, into] of steps) {
    const isWhole = out.length === into.length && out.length <= 1;
    const isEven = out.every((fen) => fen === -amount) && into.every((fen) => fen === amount);
    if (!isWhole || !isEven || amount <= 0n)
      findings.add('I6', 'a transfer’s legs are not two of one amount', where);
  }
  const [sent, got, arrived] = steps.map(([, into]) => into.length > 0);
  if ((settled || atOnce) && ((got && !sent) || (arrived && !got)))
    findings.add('I1', 'money of a transfer came that never left', where);
  if (settled && !arrived) findings.add('I2', 'a transfer never arrived', where);
}

function checkAtRest(books: LedgerRows, rootOf: ReadonlyMap<bigint, bigint>, findings: Findings): void {
  const between = new Map<number, bigint>();
  const held = new Map<string, bigint>();
  for (const { act_id, phase_key, purse, amount_fen } of books.postings) {
    if (act_id === 0n && purse === TRANSFER)
      between.set(phase_key, (between.get(phase_key) ?? 0n) + amount_fen);
    if (!rootOf.has(act_id) || (purse !== WALLET && purse !== TRANSFER)) continue;
    const key = `${act_id}/${phase_key}/${purse}`;
    held.set(key, (held.get(key) ?? 0n) + amount_fen);
  }
  for (const [phaseKey, fen] of between)
    if (fen !== 0n)
      findings.add('I6', 'money is between two wallets at rest', `phase ${phaseKey}`, `${fen} fen`);
  for (const [key, fen] of held)
    if (fen !== 0n) findings.add('I2', 'an alias has money at rest', key, `${fen} fen`);
}
