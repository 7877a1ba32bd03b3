import { setTimeout as delay } from 'node:timers/promises';
import type { Books, Catalog } from './ledger.ts';
import type { Findings } from './report.ts';

const CASH = 1;
/** What no instance could tell comes from the ledger, a few seconds behind: by then it is shown. */
const LOOKS = 40;
const LOOK_AGAIN_MS = 250;

/** What a gateway shows as given in the phase that is on: asked last, of engines at rest. */
interface Shown {
  readonly phase: string;
  readonly fen: number;
  readonly packets: number;
}

/** The number on everybody's screen is, at rest, exactly what the ledger has credited. */
export async function checkTotals(
  urls: readonly string[],
  books: Books,
  catalog: Catalog,
  findings: Findings,
): Promise<number> {
  const campaigns = [...new Set(catalog.phases.map(({ campaign_id }) => campaign_id))];
  let checked = 0;
  for (const url of urls)
    for (const campaign of campaigns) {
      const where = `${url}/v1/campaigns/${encodeURIComponent(campaign)}/total`;
      const seen = await lookAt(where, (shown) => givenIn(shown.phase, campaign, books, catalog));
      if (!seen) continue;
      checked += 1;
      const { shown, given } = seen;
      if (BigInt(shown.fen) !== given.fen || shown.packets !== given.packets)
        findings.add(
          'I8',
          'the total on the screen is not what was credited',
          where,
          `${shown.fen} fen in ${shown.packets} packets, credited ${given.fen} in ${given.packets}`,
        );
    }
  return checked;
}

/** What is missing may be credited a moment ago; what is too much is wrong at once, because no total is taken back. */
async function lookAt(where: string, givenOf: (shown: Shown) => Given) {
  for (let look = 1; ; look += 1) {
    const answer = await fetch(where);
    // No phase has begun, or the campaign is no longer in force: nothing is shown of it.
    if (answer.status === 404 || answer.status === 409) return undefined;
    if (!answer.ok) throw new Error(`${where} answered ${answer.status}`);
    const shown = (await answer.json()) as Shown;
    const given = givenOf(shown);
    const isShort = BigInt(shown.fen) < given.fen || shown.packets < given.packets;
    if (!isShort || look === LOOKS) return { shown, given };
    await delay(LOOK_AGAIN_MS);
  }
}

interface Given {
  readonly fen: bigint;
  readonly packets: number;
}

function givenIn(phaseId: string, campaign: string, books: Books, catalog: Catalog): Given {
  const key = catalog.phases.find(
    (one) => one.campaign_id === campaign && one.phase_id === phaseId,
  )?.phase_key;
  const credits = books.postings.filter(
    (posting) => posting.act_id > 0n && posting.slice_id !== null && posting.phase_key === key,
  );
  const money = credits.filter(({ purse }) => purse === CASH).reduce((sum, one) => sum + one.amount_fen, 0n);
  return { fen: money, packets: credits.length };
}
