import http from 'node:http';
import { openHongbao } from '../sdk/index.ts';
import { compileAnnounced } from '../src/campaign/announced.ts';
import type { CampaignSnapshot } from '../src/campaign/snapshot.ts';
import { systemClock } from '../src/processes/clock.ts';
import { createApp } from '../src/processes/gateway/app.ts';
import { isRefusal } from '../src/protocol/failures.ts';
import { createAwardShelf } from '../src/stations/7-wallet/awards.ts';
import { walletRoutes } from '../src/stations/7-wallet/http.ts';
import { createWallet } from '../src/stations/7-wallet/wallet.ts';
import type { ActId, AppId } from '../src/vocabulary/ids.ts';
import { anOrder } from '../test/support/orders.ts';
import { quiet } from '../test/support/postgres.ts';
import { BUCKETS, connected, markAllWhole, redisBook, startTestRedis } from '../test/support/redis.ts';
import { type SdkRig, startSdkRig } from '../test/support/sdk.ts';
import { median } from './figures.ts';

export interface SdkFigures {
  /** Balances looked up in the caller's process, nothing remembered. */
  readonly libraryPerSecond: number;
  /** The same with answers up to a second old, of a hundred people asked about again and again. */
  readonly rememberedPerSecond: number;
  /** The same look-up, asked of a server on loopback. */
  readonly httpPerSecond: number;
  /** GET …/wallet on loopback: the look-up, and the first page of records beside it. */
  readonly walletPerSecond: number;
  /** Microseconds of CPU a query, both ends together; what the stores' servers take is not in it. */
  readonly libraryCpuUs: number;
  readonly rememberedCpuUs: number;
  readonly httpCpuUs: number;
  readonly walletCpuUs: number;
  /** CPU a query: HTTP over library, nothing remembered in either. */
  readonly httpCpuOverLibrary: number;
  /** CPU a query: HTTP over library that remembers for a second. */
  readonly httpCpuOverRemembered: number;
}

const PEOPLE = 1_000;
/** So few that looking them up once a second is a small part of a round, on a busy machine too. */
const HOT_PEOPLE = 100;
const UNDER_WAY = 32;
const ROUND_MS = 1_000;
const ROUNDS = 5;
const SPACE = 'bench';

/** Half of what each person has is credited, half only promised. */
async function fill(rig: SdkRig, client: Awaited<ReturnType<typeof connected>>): Promise<ActId[]> {
  const order = (person: number, rain: number) =>
    anOrder({ person, rain, phaseKey: rig.phaseKey, index: 2 * person + rain });
  const people = Array.from({ length: PEOPLE }, (_, person) => person);
  await rig.ledger.credit(people.map((person) => order(person, 1)));
  const book = redisBook(client, undefined, SPACE);
  await book.record(
    people.map((person) => ({ order: order(person, 2), position: { sequence: 1, leafIndex: person } })),
  );
  await markAllWhole(book);
  return people.map((person) => order(person, 1).actId);
}

/** Queries a second, and microseconds of this process's CPU for each, over one round. */
async function measure(
  people: readonly ActId[],
  ask: (actId: ActId) => Promise<unknown>,
): Promise<{ readonly perSecond: number; readonly cpuUs: number }> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  let asked = 0;
  const asker = async () => {
    while (performance.now() - startedMs < ROUND_MS) {
      asked += 1;
      await ask(people[asked % people.length]!);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, asker));
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (asked / (performance.now() - startedMs)) * 1_000, cpuUs: (user + system) / asked };
}

/** Server and client in this process, over loopback with connections kept: both ends' CPU is counted. */
export async function benchSdk(): Promise<SdkFigures> {
  const [rig, cluster] = await Promise.all([startSdkRig(), startTestRedis()]);
  const client = await connected(cluster.url);
  const people = await fill(rig, client);
  const stores = { ...rig, bookUrl: cluster.url, space: SPACE, buckets: BUCKETS, connectionsMax: 8 };
  const [library, remembering] = [
    await openHongbao({ ...stores, cacheMs: 0 }),
    await openHongbao({ ...stores, cacheMs: 1_000 }),
  ];
  const app = createApp({ logger: quiet, onProblem: () => {} });
  const campaigns = await inForce(rig);
  const book = redisBook(client, undefined, SPACE);
  const wallet = createWallet({
    book,
    ledger: rig.ledger,
    shelf: createAwardShelf({ awards: rig.ledger, clock: systemClock }),
    clock: systemClock,
    logger: quiet,
    unseal: () => ({ refused: 'token-malformed', detail: '' }),
    repromise: async () => undefined,
    onUnrecorded: () => {},
  });
  await app.register(walletRoutes, {
    wallet,
    campaign: (id) => campaigns.get(id),
    authenticate: async (request) => ({
      appId: 1 as AppId,
      actId: BigInt(request.headers.authorization!) as ActId,
      aliases: [],
    }),
  });
  app.get('/balance', async (request) => {
    const answer = await library.balance('gala', { actId: BigInt(request.headers.authorization!) });
    if (isRefusal(answer)) throw new Error(answer.detail);
    return {
      ...answer,
      balanceFen: Number(answer.balanceFen),
      creditedFen: Number(answer.creditedFen),
      outstandingFen: Number(answer.outstandingFen),
      heldFen: Number(answer.heldFen),
      totalIncomeFen: Number(answer.totalIncomeFen),
    };
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const agent = new http.Agent({ keepAlive: true, maxSockets: UNDER_WAY });
  const ways = {
    library: (actId: ActId) => library.balance('gala', { actId }),
    remembered: (actId: ActId) => remembering.balance('gala', { actId }),
    http: (actId: ActId) => get(agent, `${url}/balance`, actId),
    wallet: (actId: ActId) => get(agent, `${url}/v1/campaigns/gala/wallet`, actId),
  };
  try {
    for (const ask of Object.values(ways)) await agrees(ask, people[3]!);
    const rounds: Record<keyof typeof ways, Awaited<ReturnType<typeof measure>>>[] = [];
    for (let round = 0; round <= ROUNDS; round += 1)
      rounds.push({
        library: await measure(people, ways.library),
        http: await measure(people, ways.http),
        wallet: await measure(people, ways.wallet),
        remembered: await measure(people.slice(0, HOT_PEOPLE), ways.remembered),
      });
    const of = (way: keyof typeof ways, figure: 'perSecond' | 'cpuUs') =>
      median(rounds.slice(1).map((round) => round[way][figure]));
    const ratio = (way: keyof typeof ways) =>
      median(rounds.slice(1).map((round) => round.http.cpuUs / round[way].cpuUs));
    return {
      libraryPerSecond: of('library', 'perSecond'),
      rememberedPerSecond: of('remembered', 'perSecond'),
      httpPerSecond: of('http', 'perSecond'),
      walletPerSecond: of('wallet', 'perSecond'),
      libraryCpuUs: of('library', 'cpuUs'),
      rememberedCpuUs: of('remembered', 'cpuUs'),
      httpCpuUs: of('http', 'cpuUs'),
      walletCpuUs: of('wallet', 'cpuUs'),
      httpCpuOverLibrary: ratio('library'),
      httpCpuOverRemembered: ratio('remembered'),
    };
  } finally {
    agent.destroy();
    await app.close();
    await library.close();
    await remembering.close();
    await client.close();
    await cluster.stop();
    await rig.stop();
  }
}

/** Every way must give the same balance, or its speed says nothing. */
async function agrees(ask: (actId: ActId) => Promise<unknown>, actId: ActId): Promise<void> {
  const { balanceFen, complete } = (await ask(actId)) as { balanceFen: bigint | number; complete: boolean };
  if (Number(balanceFen) !== 200 || !complete) throw new Error(`a balance of ${balanceFen}, ${complete}`);
}

async function inForce(rig: SdkRig): Promise<ReadonlyMap<string, CampaignSnapshot>> {
  const stored = await rig.control.campaigns();
  return compileAnnounced(
    stored.map((one) => ({ ...one, phaseKeys: Object.fromEntries(one.phaseKeys) })),
    [],
  );
}

const get = (agent: http.Agent, url: string, actId: ActId): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const request = http.get(url, { agent, headers: { authorization: String(actId) } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
    });
    request.on('error', reject);
  });
