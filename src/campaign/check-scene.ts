import { isMoney } from '../vocabulary/award-type.ts';
import { oneOf } from './nearest.ts';
import type { PathPart } from './problems.ts';
import type { SceneDraft } from './schema.ts';

export type Say = (path: readonly PathPart[], message: string, expected: string) => void;

interface Known {
  readonly sponsors: ReadonlySet<string>;
  readonly scenes: ReadonlyMap<string, SceneDraft>;
  readonly say: Say;
}

/** What a scene may get wrong by itself: its sponsor, how it is counted, who hands it out, what it can't pay. */
export function checkScene(scene: SceneDraft, path: readonly PathPart[], known: Known): void {
  const { sponsors, say } = known;
  // No sponsors at all is a mistake of its own, and not one of every scene.
  if (sponsors.size > 0 && !sponsors.has(scene.sponsor))
    say([...path, 'sponsor'], `there is no sponsor "${scene.sponsor}"`, oneOf(scene.sponsor, [...sponsors]));
  checkAmount(scene, path, say);
  checkFulfilment(scene, path, say);
  checkConsolation(scene, path, known);
  checkPayable(scene, scene.budget, [...path, 'budget'], say, 'fen');
}

function checkAmount({ award, amount, caps }: SceneDraft, path: readonly PathPart[], say: Say): void {
  const isPiece = amount.rule === 'piece';
  if (isMoney(award) === isPiece)
    say(
      [...path, 'amount', 'rule'],
      `rule ${amount.rule} is not for ${award}`,
      isPiece ? 'split, fixed or given: cash is money' : 'piece: only cash is money',
    );
  if (amount.rule === 'fixed' && amount.fen === undefined)
    say([...path, 'amount'], 'a fixed amount needs its fen', 'fen: the amount of each packet');
  if (amount.rule !== 'fixed' && amount.fen !== undefined)
    say([...path, 'amount', 'fen'], `rule ${amount.rule} takes no fen`, 'leave it out, or write rule: fixed');
  if (!isPiece && amount.worthFen !== undefined)
    say([...path, 'amount', 'worthFen'], `rule ${amount.rule} takes no worthFen`, 'leave it out');
  if (isPiece && caps.packetFen !== undefined)
    say([...path, 'caps', 'packetFen'], 'a piece has no cap of its own', 'leave it out: worthFen says it');
  if (!isPiece && caps.packetFen === undefined)
    say([...path, 'caps'], 'a packet needs its cap', 'packetFen: no packet is worth more');
}

function checkFulfilment({ award, fulfil }: SceneDraft, path: readonly PathPart[], say: Say): void {
  const isHandedOut = !isMoney(award) && award !== 'greeting';
  if (isHandedOut && !fulfil)
    say(path, `nobody hands out this ${award}`, 'fulfil: { connector: …, item: … }');
  if (!isHandedOut && fulfil)
    say([...path, 'fulfil'], `${award} is not handed out by anybody downstream`, 'leave it out');
}

function checkConsolation(scene: SceneDraft, path: readonly PathPart[], { scenes, say }: Known): void {
  const { consolation } = scene;
  if (consolation === undefined) return;
  const at = [...path, 'consolation'];
  const other = scenes.get(consolation);
  if (!other) say(at, `there is no scene "${consolation}"`, oneOf(consolation, [...scenes.keys()]));
  else if (other.amount?.rule === 'given')
    say(at, `scene "${consolation}" needs an amount that nobody names`, 'a scene of another rule');
  else if (other.consolation !== undefined)
    say(at, `scene "${consolation}" has a consolation itself`, 'a scene without one: there is no second try');
}

/** A budget must be payable in its number of packets: each at least 1 fen, at most the cap, and even if fixed. */
export function checkPayable(
  scene: SceneDraft,
  budget: { readonly fen?: number | undefined; readonly packets: number },
  path: readonly PathPart[],
  say: Say,
  field: 'fen' | 'budgetFen' = 'fen',
): void {
  const { fen, packets } = budget;
  if (scene.amount.rule === 'piece') return checkPieces(scene, budget, [...path, field], say);
  if (fen === undefined) return say(path, 'the money is missing', `${field}: for all packets together`);
  if (scene.amount.rule === 'given') return;
  if (fen < packets)
    say(path, `${fen} fen are too few for ${packets} packets`, `at least ${packets} fen: 1 fen a packet`);
  const capFen = scene.caps.packetFen;
  if (capFen !== undefined && BigInt(fen) > BigInt(packets) * BigInt(capFen)) {
    say(
      path,
      `${fen} fen can't be given in ${packets} packets of at most ${capFen} fen`,
      `at most ${BigInt(packets) * BigInt(capFen)} fen, or more packets, or a higher cap`,
    );
  }
  const each = scene.amount.fen;
  if (scene.amount.rule === 'fixed' && each !== undefined && BigInt(each) * BigInt(packets) !== BigInt(fen)) {
    say(
      path,
      `${packets} packets of ${each} fen do not make ${fen} fen`,
      `${BigInt(each) * BigInt(packets)} fen`,
    );
  }
}

function checkPieces(
  scene: SceneDraft,
  { fen, packets }: { readonly fen?: number | undefined; readonly packets: number },
  path: readonly PathPart[],
  say: Say,
): void {
  if (fen !== undefined) say(path, 'pieces are counted, not summed', 'leave it out');
  const worth = BigInt(scene.amount.worthFen ?? 0) * BigInt(packets);
  if (worth > BigInt(Number.MAX_SAFE_INTEGER))
    say(path, `${packets} pieces are worth ${worth} fen`, `at most ${Number.MAX_SAFE_INTEGER} fen in all`);
}
