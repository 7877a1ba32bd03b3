import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from './random.ts';

export interface CrowdOptions {
  readonly url: string;
  readonly campaignId: string;
  readonly people: number;
  readonly seed: number;
  /** Where what people saw is written, one JSON object a line. */
  readonly historyFile: string;
  readonly thinkMs: number;
}

export interface CrowdCounts {
  shakes: number;
  won: number;
  repeats: number;
  wallets: number;
  withdrawn: number;
  refused: number;
  lost: number;
}

export interface Crowd {
  readonly counts: CrowdCounts;
  /** Everybody finishes what was begun: lost answers are asked for again until they are known. */
  stop(): Promise<void>;
}

interface Person {
  readonly name: string;
  session: string | undefined;
  claimRecord: string;
  /** Begun and not answered: asked again, with the same ticket or the same key, until it is. */
  ticket: string | undefined;
  withdrawal: { readonly amountFen: number; readonly key: string } | undefined;
}

type Answer = { readonly status: number; readonly body: Record<string, unknown> } | undefined;

const DEADLINE_MS = 4_000;

/**
 * People who shake, open, look and withdraw, and do what people (and cheats) do: ask twice at the same moment, ask
 * again later, lose their claim record, show an old one, send rubbish. They write down what they were told.
 */
export function startCrowd(options: CrowdOptions): Crowd {
  const counts: CrowdCounts = {
    shakes: 0,
    won: 0,
    repeats: 0,
    wallets: 0,
    withdrawn: 0,
    refused: 0,
    lost: 0,
  };
  const random = seededRandom(options.seed);
  const route = `${options.url}/v1/campaigns/${options.campaignId}`;
  let stopping = false;

  const note = (seen: object): void => appendFileSync(options.historyFile, `${JSON.stringify(seen)}\n`);

  async function ask(
    person: Person | undefined,
    url: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    try {
      const response = await fetch(url, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(person?.session === undefined ? {} : { authorization: `Bearer ${person.session}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    } catch {
      counts.lost += 1;
      return undefined;
    }
  }

  const isFinal = (answer: Answer): boolean =>
    answer !== undefined && (answer.status < 400 || answer.body.retryable === false);

  async function open(person: Person): Promise<void> {
    const ticket = person.ticket!;
    const times = random() < 0.2 ? 2 : 1;
    const answers = await Promise.all(
      Array.from({ length: times }, () => ask(person, `${route}/packets`, { ticket })),
    );
    for (const answer of answers) {
      if (answer?.status !== 200) continue;
      const { orderNumber, amountFen, token } = answer.body as {
        orderNumber: string;
        amountFen: number;
        token: string;
      };
      note({ t: 'won', orderNumber, amountFen, tokenHash: createHash('sha256').update(token).digest('hex') });
      counts.won += 1;
    }
    if (answers.some((answer) => answer?.status === 200)) {
      // Now and then the same ticket is shown once more: the same packet must come.
      if (random() < 0.2) counts.repeats += 1;
      else person.ticket = undefined;
    } else if (answers.some(isFinal)) {
      counts.refused += 1;
      person.ticket = undefined;
    }
  }

  async function shake(person: Person): Promise<void> {
    counts.shakes += 1;
    const forgets = random() < 0.1;
    const answer = await ask(
      person,
      `${route}/shakes`,
      forgets || !person.claimRecord ? {} : { claimRecord: person.claimRecord },
    );
    if (answer?.status !== 200) return;
    // A cheat keeps the older record, which knows of fewer packets.
    if (typeof answer.body.claimRecord === 'string' && random() < 0.9)
      person.claimRecord = answer.body.claimRecord;
    if (answer.body.prize === 'ticket') person.ticket = answer.body.ticket as string;
  }

  async function lookAtWallet(person: Person): Promise<number> {
    const answer = await ask(person, `${route}/wallet`);
    if (answer?.status !== 200) return 0;
    counts.wallets += 1;
    const { balanceFen, totalIncomeFen } = answer.body as { balanceFen: number; totalIncomeFen: number };
    note({ t: 'wallet', person: person.name, balanceFen, totalIncomeFen });
    return balanceFen;
  }

  async function withdraw(person: Person): Promise<void> {
    if (!person.withdrawal) {
      const balanceFen = await lookAtWallet(person);
      if (balanceFen < 1) return;
      person.withdrawal = { amountFen: 1 + Math.floor(random() * balanceFen), key: randomUUID() };
    }
    const { amountFen, key } = person.withdrawal;
    const answer = await ask(person, `${route}/withdrawals`, { amountFen }, { 'idempotency-key': key });
    if (answer?.status === 202) {
      counts.withdrawn += 1;
      note({ t: 'withdrawn', person: person.name, withdrawalId: answer.body.withdrawalId, amountFen });
    }
    if (isFinal(answer)) person.withdrawal = undefined;
  }

  const sendRubbish = (person: Person) =>
    ask(
      person,
      `${route}/${random() < 0.5 ? 'packets' : 'withdrawals'}`,
      { ticket: 'AAAA', amountFen: -1, surprise: true },
      { 'idempotency-key': 'x' },
    );

  async function act(person: Person): Promise<void> {
    if (person.session === undefined) {
      const answer = await ask(undefined, `${options.url}/demo/v1/sessions`, { user: person.name });
      person.session = answer?.body.session as string | undefined;
      return;
    }
    if (person.ticket) return open(person);
    if (person.withdrawal) return withdraw(person);
    if (stopping) return;
    const dice = random();
    if (dice < 0.72) await shake(person);
    else if (dice < 0.86) await lookAtWallet(person);
    else if (dice < 0.97) await withdraw(person);
    else await sendRubbish(person);
  }

  const isDone = (person: Person): boolean => stopping && !person.ticket && !person.withdrawal;

  async function live(person: Person): Promise<void> {
    while (!isDone(person)) {
      const lostBefore = counts.lost;
      await act(person);
      // Nobody there: wait a little longer, as people do, and leave the processor to whoever is starting.
      await delay((counts.lost > lostBefore ? 4 : 1) * options.thinkMs * (0.5 + random()));
    }
  }

  const people = Array.from(
    { length: options.people },
    (_, at): Person => ({
      name: `person-${options.seed}-${at}`,
      session: undefined,
      claimRecord: '',
      ticket: undefined,
      withdrawal: undefined,
    }),
  );
  const lives = people.map(live);
  return {
    counts,
    async stop() {
      stopping = true;
      await Promise.all(lives);
    },
  };
}
