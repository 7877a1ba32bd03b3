import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, heardOf, httpWay } from './http-way.ts';
import { seededRandom } from './random.ts';
import { socketWay } from './socket-way.ts';
import { type Heard, isFinal, type Way } from './ways.ts';

export interface CrowdOptions {
  readonly url: string;
  readonly campaignId: string;
  readonly people: number;
  readonly seed: number;
  /** Where what people saw is written, one JSON object a line. */
  readonly historyFile: string;
  readonly thinkMs: number;
  /** How many of the people play over a WebSocket, of 1; the others over HTTP. Half, when it is not said. */
  readonly onSockets?: number;
  /** How somebody comes by a session where there is no demo. */
  readonly sessionOf?: (user: string) => string;
  /** Other addresses of the same: whoever gets no answer tries the next one, as phones do. */
  readonly otherUrls?: readonly string[];
  /** Everybody's phone sends everything two times, at the same moment. */
  readonly everythingTwice?: boolean;
}

export interface CrowdCounts {
  shakes: number;
  won: number;
  /** Of these, over a WebSocket. */
  wonOnSockets: number;
  repeats: number;
  wallets: number;
  withdrawn: number;
  refused: number;
  lost: number;
}

export interface Crowd {
  readonly counts: CrowdCounts;
  /** How often each refusal was heard, by its code. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Everybody finishes what was begun: lost answers are asked for again until they are known. */
  stop(): Promise<void>;
}

interface Person {
  readonly name: string;
  readonly usesSocket: boolean;
  session: string | undefined;
  way: Way | undefined;
  /** Which of the addresses is tried at the moment. */
  place: number;
  claimRecord: string;
  /** What the phone keeps, and the sum of what its person was told. */
  readonly tokens: Map<string, string>;
  toldFen: number;
  /** Begun and not answered: asked again, with the same ticket or the same key, until it is. */
  ticket: string | undefined;
  withdrawal: { readonly amountFen: number; readonly key: string } | undefined;
}

/**
 * People who shake, open, look and withdraw, and do what people (and cheats) do: ask twice at the same moment, ask
 * again later, lose their claim record, show an old one, send rubbish. They write down what they were told.
 */
export function startCrowd(options: CrowdOptions): Crowd {
  const counts: CrowdCounts = {
    shakes: 0,
    won: 0,
    wonOnSockets: 0,
    repeats: 0,
    wallets: 0,
    withdrawn: 0,
    refused: 0,
    lost: 0,
  };
  const refusals = new Map<string, number>();
  const random = seededRandom(options.seed);
  const urls = [options.url, ...(options.otherUrls ?? [])];
  const urlOf = (person: Person): string => urls[person.place % urls.length]!;
  const routeOf = (person: Person): string => `${urlOf(person)}/v1/campaigns/${options.campaignId}`;
  let stopping = false;

  const note = (seen: object): void => appendFileSync(options.historyFile, `${JSON.stringify(seen)}\n`);

  function counted<Told>(heard: Heard<Told>): Heard<Told> {
    if (heard === undefined) counts.lost += 1;
    else if ('refused' in heard) refusals.set(heard.refused, (refusals.get(heard.refused) ?? 0) + 1);
    return heard;
  }

  /** The same request, once or as often as this phone sends everything; what was heard last. */
  async function sent<Told>(ask: () => Promise<Told>): Promise<Told> {
    if (options.everythingTwice) void ask().catch(() => {});
    return ask();
  }

  async function open(person: Person, way: Way): Promise<void> {
    const ticket = person.ticket!;
    const times = options.everythingTwice || random() < 0.2 ? 2 : 1;
    const heard = await Promise.all(Array.from({ length: times }, () => way.open(ticket)));
    for (const one of heard.map(counted)) {
      if (!one || !('told' in one)) continue;
      const { orderNumber, amountFen, token } = one.told;
      note({ t: 'won', orderNumber, amountFen, tokenHash: createHash('sha256').update(token).digest('hex') });
      counts.won += 1;
      // What a piece is worth is no money.
      const isMoney = orderNumber.split('_')[3] === 'cash';
      if (isMoney && !person.tokens.has(orderNumber)) person.toldFen += amountFen;
      person.tokens.set(orderNumber, token);
      if (person.usesSocket) counts.wonOnSockets += 1;
    }
    if (heard.some((one) => one && 'told' in one)) {
      // Now and then the same ticket is shown once more: the same packet must come.
      if (random() < 0.2) counts.repeats += 1;
      else person.ticket = undefined;
    } else if (heard.some(isFinal)) {
      counts.refused += 1;
      person.ticket = undefined;
    }
  }

  async function shake(person: Person, way: Way): Promise<void> {
    counts.shakes += 1;
    const forgets = random() < 0.1;
    const heard = counted(await sent(() => way.shake(forgets ? '' : person.claimRecord)));
    if (!heard || !('told' in heard)) return;
    // A cheat keeps the older record, which knows of fewer packets.
    if (heard.told.claimRecord !== undefined && random() < 0.9) person.claimRecord = heard.told.claimRecord;
    if (heard.told.ticket !== undefined) person.ticket = heard.told.ticket;
  }

  /** A wallet that can't look up what is not credited yet says so; then the phone shows its tokens. */
  async function lookAtWallet(person: Person): Promise<number> {
    const { toldFen } = person;
    const look = async (body?: object) =>
      heardOf(await ask(`${routeOf(person)}/wallet`, person.session, body), 200, (asked) => asked.body);
    let heard = counted(await sent(() => look()));
    if (heard && 'told' in heard && heard.told.complete === false)
      heard = counted(await sent(() => look({ tokens: [...person.tokens.values()] })));
    if (!heard || !('told' in heard)) return 0;
    counts.wallets += 1;
    const { balanceFen, totalIncomeFen, complete } = heard.told as {
      balanceFen: number;
      totalIncomeFen: number;
      complete: boolean;
    };
    note({ t: 'wallet', person: person.name, balanceFen, totalIncomeFen, toldFen, complete });
    return balanceFen;
  }

  async function withdraw(person: Person): Promise<void> {
    if (!person.withdrawal) {
      const balanceFen = await lookAtWallet(person);
      if (balanceFen < 1) return;
      person.withdrawal = { amountFen: 1 + Math.floor(random() * balanceFen), key: randomUUID() };
    }
    const { amountFen, key } = person.withdrawal;
    const asked = await sent(() =>
      ask(`${routeOf(person)}/withdrawals`, person.session, { amountFen }, { 'idempotency-key': key }),
    );
    const heard = counted(heardOf(asked, 202, ({ body }) => body));
    if (heard && 'told' in heard) {
      counts.withdrawn += 1;
      note({ t: 'withdrawn', person: person.name, withdrawalId: heard.told.withdrawalId, amountFen });
    }
    if (isFinal(heard)) person.withdrawal = undefined;
  }

  async function comeIn(person: Person): Promise<void> {
    const session = options.sessionOf?.(person.name) ?? (await demoSession(person));
    if (session === undefined) return;
    person.session = session;
    person.way = person.usesSocket
      ? socketWay(urlOf(person), options.campaignId, session)
      : httpWay(routeOf(person), session);
  }

  async function demoSession(person: Person): Promise<string | undefined> {
    const asked = await ask(`${urlOf(person)}/demo/v1/sessions`, undefined, { user: person.name });
    const heard = counted(heardOf(asked, 200, ({ body }) => body.session as string));
    return heard && 'told' in heard ? heard.told : undefined;
  }

  async function act(person: Person): Promise<void> {
    const { way } = person;
    if (!way) return comeIn(person);
    if (person.ticket) return open(person, way);
    if (person.withdrawal) return withdraw(person);
    if (stopping) return;
    const dice = random();
    if (dice < 0.72) await shake(person, way);
    else if (dice < 0.86) await lookAtWallet(person);
    else if (dice < 0.97) await withdraw(person);
    else await way.sendRubbish(random);
  }

  const isDone = (person: Person): boolean => stopping && !person.ticket && !person.withdrawal;

  function moveOn(person: Person): void {
    person.place += 1;
    person.way?.close();
    person.way = undefined;
  }

  async function live(person: Person): Promise<void> {
    while (!isDone(person)) {
      const lostBefore = counts.lost;
      await act(person);
      if (counts.lost > lostBefore && urls.length > 1) moveOn(person);
      // Nobody there: wait a little longer, as people do, and leave the processor to whoever is starting.
      await delay((counts.lost > lostBefore ? 8 : 1) * options.thinkMs * (0.5 + random()));
    }
    person.way?.close();
  }

  const onSockets = options.onSockets ?? 0.5;
  const people = Array.from(
    { length: options.people },
    (_, at): Person => ({
      name: `person-${options.seed}-${at}`,
      usesSocket: Math.floor((at + 1) * onSockets) > Math.floor(at * onSockets),
      session: undefined,
      way: undefined,
      place: 0,
      claimRecord: '',
      tokens: new Map(),
      toldFen: 0,
      ticket: undefined,
      withdrawal: undefined,
    }),
  );
  const lives = people.map(live);
  return {
    counts,
    refusals,
    async stop() {
      stopping = true;
      await Promise.all(lives);
    },
  };
}
