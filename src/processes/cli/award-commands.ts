import { ask } from './engine-client.ts';
import { type OpsOptions, ops } from './ops-commands.ts';
import { CliFailure, EXIT, print } from './output.ts';

interface Line {
  readonly orderNumber: string;
  readonly state: string;
  readonly tries: number;
  readonly reason?: string;
}

interface Page {
  readonly awards: readonly Line[];
  readonly next: string | null;
}

const PAGE_ROWS = 500;

async function* listed(
  { base, bearer }: { readonly base: string; readonly bearer: string },
  list: 'dead' | 'stuck',
): AsyncGenerator<Line> {
  for (let after: string | null = ''; after !== null; ) {
    const query: string = `limit=${PAGE_ROWS}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page = (await ask(base, `/ops/v1/awards/${list}?${query}`, { bearer })) as unknown as Page;
    yield* page.awards;
    after = page.next;
  }
}

/** Pieces that were not handed out: dead letters, or those that are stuck on their way. */
export async function awardsList(list: 'dead' | 'stuck', limit: number, options: OpsOptions): Promise<void> {
  const awards: Line[] = [];
  let isMore = false;
  for await (const line of listed(ops(options), list)) {
    isMore = awards.length === limit;
    if (isMore) break;
    awards.push(line);
  }
  const lines = awards.map(
    ({ orderNumber, state, tries, reason }) =>
      `${orderNumber}  ${state}, ${tries} tries: ${reason ?? 'no reason given'}`,
  );
  const none = list === 'dead' ? 'There are no dead letters.' : 'No piece is stuck.';
  print(
    options,
    { awards, isMore },
    lines.length === 0 ? none : [...lines, ...(isMore ? ['… and more: --limit'] : [])].join('\n'),
  );
}

/** Has a dead letter, or all of them, taken up again. Nothing is granted anew before it was asked about. */
export async function awardsReplay(
  orderNumber: string | undefined,
  flags: { readonly all?: boolean },
  options: OpsOptions,
): Promise<void> {
  if ((orderNumber === undefined) === (flags.all !== true))
    throw new CliFailure(EXIT.usage, 'Name one order number, or --all for every dead letter.', {
      code: 'usage',
    });
  const target = ops(options);
  const replay = (id: string) =>
    ask(target.base, `/ops/v1/awards/${encodeURIComponent(id)}/replay`, {
      bearer: target.bearer,
      method: 'POST',
    });
  if (orderNumber !== undefined) {
    const answer = await replay(orderNumber);
    print(
      options,
      { orderNumber, ...answer },
      answer.replayed === true
        ? `${orderNumber} is asked about again.`
        : `${orderNumber} is no dead letter: it is ${answer.state}.`,
    );
    return;
  }
  let replayed = 0;
  let others = 0;
  for await (const line of listed(target, 'dead')) {
    if ((await replay(line.orderNumber)).replayed === true) replayed += 1;
    else others += 1;
  }
  print(
    options,
    { replayed, notDead: others },
    `${replayed} dead letters are asked about again${others > 0 ? `; ${others} were none any more` : ''}.`,
  );
}
