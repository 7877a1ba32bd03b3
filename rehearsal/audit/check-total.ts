import type { Books, Catalog } from './ledger.ts';
import type { Findings } from './report.ts';

const CASH = 1;

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
      const answer = await fetch(where);
      // No phase has begun, or the campaign is no longer in force: nothing is shown of it.
      if (answer.status === 404 || answer.status === 409) continue;
      if (!answer.ok) throw new Error(`${where} answered ${answer.status}`);
      const shown = (await answer.json()) as Shown;
      checked += 1;
      const given = givenIn(shown.phase, campaign, books, catalog);
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

function givenIn(phaseId: string, campaign: string, books: Books, catalog: Catalog) {
  const key = catalog.phases.find(
    (one) => one.campaign_id === campaign && one.phase_id === phaseId,
  )?.phase_key;
  const credits = books.postings.filter(
    (posting) => posting.act_id > 0n && posting.slice_id !== null && posting.phase_key === key,
  );
  const money = credits.filter(({ purse }) => purse === CASH).reduce((sum, one) => sum + one.amount_fen, 0n);
  return { fen: money, packets: credits.length };
}
