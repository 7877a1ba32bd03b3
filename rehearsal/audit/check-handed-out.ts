import { parse } from 'yaml';
import type { DownstreamLine, DownstreamPiece, DownstreamRecord } from './downstream.ts';
import type { AwardRow, Catalog, LedgerRows } from './ledger.ts';
import type { Findings } from './report.ts';
import { orderKey } from './token.ts';

/** What downstreams say, twice. Undefined where their record is not at hand. */
export interface DownstreamLooks {
  /** Read before the books: whoever was asked then was asked for a piece that the books have. */
  readonly before: DownstreamRecord | undefined;
  /** Read after the books: what is fulfilled in them was handed out by then. */
  readonly after: DownstreamRecord | undefined;
}

/** How far the downstreams' record and the ledger agree. */
export interface HandedOut {
  /** Pieces that downstreams handed out. */
  readonly count: number;
  /** Of these, pieces that the ledger calls fulfilled or used. */
  readonly known: number;
}

const isInHouse = (award: AwardRow): boolean => award.ref.split('_')[3] === 'greeting';
const isFulfilled = (award: AwardRow): boolean => award.state === 'fulfilled' || award.state === 'used';
const isOnItsWay = (award: AwardRow): boolean => award.state === 'granted' || award.state === 'asking';

/**
 * What was handed out, by those who did: each order at most once (I1), as its scene says and to its person (I1), and
 * none that was not credited (I8). What the ledger calls fulfilled was handed out, with that voucher (I2); a greeting
 * needs nobody. What it calls dead was not (I8). In the end nothing is on its way any more (I2), but for what a
 * downstream itself says it is still working on.
 */
export function checkHandedOut(
  looks: DownstreamLooks,
  books: Pick<LedgerRows, 'awards'>,
  catalog: Pick<Catalog, 'campaigns' | 'phases'>,
  settled: boolean,
  findings: Findings,
): HandedOut {
  const awards = new Map(books.awards.map((award) => [orderKey(award.phase_key, award.ref), award]));
  const { before, after } = looks;
  for (const [key, piece] of before ?? []) checkIsKnown(key, piece, awards.get(key), findings);
  const promised = promisesOf(catalog);
  for (const [key, { last, handedOut }] of after ?? []) {
    if (handedOut.length > 1)
      findings.add('I1', 'a piece was handed out more than once', key, `${handedOut.length} times`);
    for (const line of last.values()) checkContent(line, promised, findings);
  }
  let known = 0;
  for (const [key, award] of awards) {
    const piece = after?.get(key);
    if (settled) checkAtRest(award, piece, after !== undefined, findings);
    if (!isFulfilled(award) || isInHouse(award) || !after) continue;
    if (!piece || piece.handedOut.length === 0)
      findings.add('I2', 'a fulfilled piece was never handed out', award.ref);
    else {
      known += 1;
      if (!piece.handedOut.some(({ voucher }) => (voucher ?? null) === award.voucher))
        findings.add('I2', 'a voucher is not the one that was handed out', award.ref, `${award.voucher}`);
    }
  }
  const count = [...(after?.values() ?? [])].filter(({ handedOut }) => handedOut.length > 0).length;
  return { count, known };
}

/** Nobody is asked for a piece before it is credited, and what is dead is not to be had. */
function checkIsKnown(
  key: string,
  { handedOut }: DownstreamPiece,
  award: AwardRow | undefined,
  findings: Findings,
): void {
  if (!award) findings.add('I8', 'a downstream was asked for a piece that was never credited', key);
  else if (isInHouse(award)) findings.add('I8', 'a downstream was asked for what needs none', key);
  else if (award.state === 'dead' && handedOut.length > 0)
    findings.add('I8', 'a piece was handed out and is a dead letter', key, 'replay it');
}

function checkAtRest(
  award: AwardRow,
  piece: DownstreamPiece | undefined,
  isRecordAtHand: boolean,
  findings: Findings,
): void {
  if (!isOnItsWay(award) || !(isRecordAtHand || isInHouse(award))) return;
  const isWorkedOn = [...(piece?.last.values() ?? [])].some(({ state }) => state === 'processing');
  if (!isWorkedOn) findings.add('I2', 'a piece is still on its way', award.ref, award.state);
}

const thing = (connector: string, item: string, worthFen: number): string =>
  `${item} of ${connector} worth ${worthFen} fen`;

/** Every thing that some version of a phase's campaign said a scene gives; by `phaseKey/scene`. */
function promisesOf({ campaigns, phases }: Pick<Catalog, 'campaigns' | 'phases'>): Map<string, Set<string>> {
  const promises = new Map<string, Set<string>>();
  for (const { campaign_id, source } of campaigns) {
    const { rewards } = parse(source) as FulfilFile;
    const keys = phases.filter((phase) => phase.campaign_id === campaign_id).map((phase) => phase.phase_key);
    for (const scene of rewards.flatMap(({ items }) => items.flatMap(({ scenes }) => scenes))) {
      if (!scene.fulfil) continue;
      const { connector, item } = scene.fulfil;
      for (const phaseKey of keys) {
        const key = orderKey(phaseKey, scene.id);
        const things = promises.get(key) ?? new Set();
        promises.set(key, things.add(thing(connector, item, scene.amount.worthFen ?? 0)));
      }
    }
  }
  return promises;
}

interface FulfilFile {
  readonly rewards: {
    items: {
      scenes: {
        id: string;
        amount: { worthFen?: number };
        fulfil?: { connector: string; item: string };
      }[];
    }[];
  }[];
}

function checkContent(
  line: DownstreamLine,
  promised: ReadonlyMap<string, ReadonlySet<string>>,
  findings: Findings,
): void {
  const [actId, scene] = line.orderNumber.split('_');
  const what = thing(line.connector, line.item, line.worthFen);
  if (line.actId !== actId)
    findings.add('I1', 'a piece was asked for somebody else', line.orderNumber, `for ${line.actId}`);
  if (!promised.get(orderKey(line.phaseKey, scene ?? ''))?.has(what))
    findings.add('I1', 'a piece was asked for that its scene does not give', line.orderNumber, what);
}
