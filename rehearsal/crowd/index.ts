import { createChance } from './chance.ts';
import { openHistory } from './history.ts';
import { runPerson, type Tally } from './person.ts';
import { createWire } from './wire.ts';

export interface CrowdOptions {
  /** Of the gateway; it may die and come back there. */
  readonly url: string;
  readonly campaignId: string;
  readonly people: number;
  readonly seed: number;
  /** Every answer is written here, for the auditor. */
  readonly historyFile: string;
  /** Ends the night; what is under way then is asked until it is answered. */
  readonly until: AbortSignal;
  /** Mean pause of a person between two acts. */
  readonly pauseMs?: number;
  readonly namePrefix?: string;
}

export interface Crowd {
  /** Counts up while they play. */
  readonly tally: Readonly<Tally>;
  /** When everybody has had the last answer. */
  readonly done: Promise<void>;
}

const LAST_ANSWERS_MS = 60_000;
const PAUSE_MS = 300;

/** A crowd that plays, withdraws, retries and cheats as its seed says, through deaths of the engine. */
export function runCrowd(options: CrowdOptions): Crowd {
  const tally: Tally = {
    wins: 0,
    replays: 0,
    shakes: 0,
    walletReads: 0,
    withdrawals: 0,
    unanswered: 0,
    refusals: {},
    misbehaved: [],
  };
  const history = openHistory(options.historyFile);
  const chance = createChance(options.seed);
  const giveUp = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  options.until.addEventListener('abort', () => {
    timer = setTimeout(() => giveUp.abort(), LAST_ANSWERS_MS);
  });
  const wire = createWire(options.url);
  const people = Array.from({ length: options.people }, (_, nth) =>
    runPerson({
      user: `${options.namePrefix ?? 'person'}-${nth}`,
      campaignId: options.campaignId,
      wire,
      history,
      chance: chance.fork(nth),
      tally,
      stop: options.until,
      giveUp: giveUp.signal,
      pauseMs: options.pauseMs ?? PAUSE_MS,
    }),
  );
  const done = Promise.all(people)
    .then(() => {})
    .finally(() => {
      clearTimeout(timer);
      wire.close();
      history.close();
    });
  return { tally, done };
}
