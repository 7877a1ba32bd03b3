import { parse } from 'yaml';
import type { HandedOut } from './check-handed-out.ts';
import type { AwardRow, Catalog, LedgerRows } from './ledger.ts';
import type { Conserved, Findings } from './report.ts';
import type { StatementLine, Statements } from './statement.ts';

/**
 * What partners say they handed out, held against the ledger as the sandbox's own record is: each piece at most once (I1),
 * as its scene says (I1), none that was not credited or is a dead letter (I8), with the voucher that its person sees (I2).
 * A statement is older than the books, so only in the end is it asked the other way round: then what the ledger calls
 * fulfilled stands on it, and nothing of its connector is on its way any more (I2).
 */
export function checkStatements(
  { connectors, lines }: Statements,
  books: Pick<LedgerRows, 'awards'>,
  catalog: Pick<Catalog, 'campaigns' | 'phases'>,
  settled: boolean,
  findings: Findings,
): HandedOut & { readonly strange: number } {
  const scenes = scenesOf(catalog);
  const { given, strange } = matched(lines, books.awards, findings);
  for (const [award, said] of given) {
    if (said.length > 1)
      findings.add('I1', 'a piece was handed out more than once', nameOf(award), said.map(seen).join(', '));
    for (const line of said) checkLine(line, award, scenes.get(sceneOf(award)), findings);
    checkVoucher(said, award, findings);
  }
  if (settled)
    for (const award of books.awards) {
      const own = scenes.get(sceneOf(award))?.connectors ?? new Set();
      const isCovered = own.size > 0 && [...own].every((connector) => connectors.has(connector));
      if (isCovered) checkInTheEnd(award, given.has(award), [...own].join(', '), findings);
    }
  return { count: given.size + strange, known: [...given.keys()].filter(isFulfilled).length, strange };
}

/** What the partners' statements and the ledger have in common, as a station's books. */
export function statementStation({ count, known, strange }: ReturnType<typeof checkStatements>): Conserved {
  const share = (name: string, count: number) => ({ name, count, fen: 0 });
  return {
    station: 'pieces, statements',
    came: share('handed out', count),
    shares: [
      share('known of', known),
      share('to be heard of', count - known - strange),
      share('never credited', strange),
    ],
    holds: strange === 0,
  };
}

const isFulfilled = ({ state }: AwardRow): boolean => state === 'fulfilled' || state === 'used';
const isOnItsWay = ({ state }: AwardRow): boolean => state === 'granted' || state === 'asking';
const nameOf = ({ phase_key, ref }: AwardRow): string => `${phase_key}/${ref}`;
const sceneOf = ({ phase_key, ref }: AwardRow): string => `${phase_key}/${ref.split('_')[1]}`;
const seen = ({ connector, at, where }: StatementLine): string =>
  `by ${connector}${at === undefined ? '' : ` at ${at}`} (${where})`;

/** Whose piece each line is. Those of nobody, and those that could be of several phases, are told. */
function matched(
  lines: readonly StatementLine[],
  awards: readonly AwardRow[],
  findings: Findings,
): { readonly given: ReadonlyMap<AwardRow, readonly StatementLine[]>; readonly strange: number } {
  const byNumber = new Map<string, AwardRow[]>();
  for (const award of awards) byNumber.set(award.ref, [...(byNumber.get(award.ref) ?? []), award]);
  const given = new Map<AwardRow, StatementLine[]>();
  let strange = 0;
  for (const line of lines) {
    const found = (byNumber.get(line.orderNumber) ?? []).filter(
      ({ phase_key }) => line.phaseKey === undefined || phase_key === line.phaseKey,
    );
    const [award] = found;
    if (award && found.length === 1) {
      given.set(award, [...(given.get(award) ?? []), line]);
      continue;
    }
    strange += 1;
    if (award)
      findings.add('format', 'a statement’s order number is of several phases', line.orderNumber, line.where);
    else
      findings.add(
        'I8',
        'a downstream was asked for a piece that was never credited',
        line.orderNumber,
        seen(line),
      );
  }
  return { given, strange };
}

function checkLine(
  line: StatementLine,
  award: AwardRow,
  scene: SceneDownstreams | undefined,
  findings: Findings,
): void {
  if (award.state === 'dead')
    findings.add(
      'I8',
      'a piece was handed out and is a dead letter',
      nameOf(award),
      `replay it; ${seen(line)}`,
    );
  const { connector, item } = line;
  const isPromised =
    item === undefined ? scene?.connectors.has(connector) : scene?.things.has(thing(connector, item));
  if (!isPromised)
    findings.add(
      'I1',
      'a piece was asked for that its scene does not give',
      nameOf(award),
      `${item ?? 'something'} ${seen(line)}`,
    );
}

function checkVoucher(said: readonly StatementLine[], award: AwardRow, findings: Findings): void {
  const vouchers = said.flatMap(({ voucher }) => voucher ?? []);
  if (!isFulfilled(award) || vouchers.length === 0 || vouchers.includes(award.voucher ?? '')) return;
  findings.add('I2', 'a voucher is not the one that was handed out', nameOf(award), seen(said[0]!));
}

function checkInTheEnd(award: AwardRow, isSaid: boolean, connector: string, findings: Findings): void {
  if (isFulfilled(award) && !isSaid)
    findings.add(
      'I2',
      'a fulfilled piece was never handed out',
      nameOf(award),
      `not on ${connector}’s statement`,
    );
  if (isOnItsWay(award))
    findings.add(
      'I2',
      'a piece is still on its way',
      nameOf(award),
      isSaid ? `${connector} handed it out` : award.state,
    );
}

/** Who hands out what a scene gives, in any version of its campaign. */
interface SceneDownstreams {
  readonly connectors: ReadonlySet<string>;
  readonly things: ReadonlySet<string>;
}

const thing = (connector: string, item: string): string => `${item} of ${connector}`;

function scenesOf({
  campaigns,
  phases,
}: Pick<Catalog, 'campaigns' | 'phases'>): ReadonlyMap<string, SceneDownstreams> {
  const scenes = new Map<string, { connectors: Set<string>; things: Set<string> }>();
  for (const { campaign_id, source } of campaigns) {
    const { rewards } = parse(source) as CampaignFile;
    const keys = phases.filter((phase) => phase.campaign_id === campaign_id).map((phase) => phase.phase_key);
    for (const { id, fulfil } of rewards.flatMap(({ items }) => items.flatMap((item) => item.scenes)))
      for (const phaseKey of fulfil ? keys : []) {
        const scene = scenes.get(`${phaseKey}/${id}`) ?? { connectors: new Set(), things: new Set() };
        scenes.set(`${phaseKey}/${id}`, scene);
        scene.connectors.add(fulfil!.connector);
        scene.things.add(thing(fulfil!.connector, fulfil!.item));
      }
  }
  return scenes;
}

interface CampaignFile {
  readonly rewards: {
    items: { scenes: { id: string; fulfil?: { connector: string; item: string } }[] }[];
  }[];
}
