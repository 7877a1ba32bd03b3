import type { Logger } from 'pino';
import { RetryableFault } from '../../protocol/failures.ts';
import { atLeast, isBehind, NOTHING_GIVEN, plus } from '../../rules/hot-total.ts';
import type { PhaseKey } from '../../vocabulary/ids.ts';
import type { HotTotal } from '../ports.ts';
import { databaseName, type ToldSum, type TotalsServer } from './totals-server.ts';

/** What is known of one phase at one server. */
interface AtServer {
  /** Our sums as the server has certainly been told them. */
  readonly confirmed: Map<string, HotTotal>;
  turnsSinceTold: number;
  /** It was asked once and answered, or failed to. */
  wasAsked: boolean;
  /** It has less than we know was given: emptied, or set back, and not yet told everything again. */
  isBehind: boolean;
  turnsBehind: number;
}

interface Phase {
  /** What this process tells: its own sum under its name, and what it heard of the ledger's databases. */
  readonly sums: Map<string, HotTotal>;
  /** The largest total that any server has said; undefined before the first. */
  known: HotTotal | undefined;
  /** `known` as it was at the primary's last turns, the newest first. */
  readonly before: HotTotal[];
  readonly at: readonly AtServer[];
}

export interface TotalsExchangeOptions {
  /** The primary, and the backup if there is one. */
  readonly servers: readonly TotalsServer[];
  /** Who tells; never used before. */
  readonly instance: string;
  readonly logger: Logger;
}

/** What this process knows of the totals, and its conversation with the servers, turn by turn. */
export interface TotalsExchange {
  add(phaseKey: PhaseKey, given: HotTotal): void;
  confirm(phaseKey: PhaseKey, database: string, credited: HotTotal): void;
  /** Undefined until there is data. From the first call on the phase is asked for in each turn. */
  shown(phaseKey: PhaseKey): HotTotal | undefined;
  /** Tells this server what is new, and asks it for the totals; never throws. */
  turn(server: number): Promise<void>;
  status(): { readonly untold: number; readonly away: readonly string[]; readonly behind: readonly string[] };
}

/** Even what did not change is told again, so that an emptied server heals that nobody has looked at. */
const TELL_AGAIN_TURNS = 20;
const TELL_AGAIN_TURNS_BEHIND = 4;
/** In so many turns every living instance has told what it had given; what was known before them, a server must have. */
const TURNS_TO_TELL = 3;
/** What is missing after so many turns was given by instances that live no more. */
const MEND_AFTER_TURNS = 8;
const NAMES = ['primary', 'backup'];

export function createTotalsExchange(options: TotalsExchangeOptions): TotalsExchange {
  const { servers, instance, logger } = options;
  const phases = new Map<PhaseKey, Phase>();
  const isAway = servers.map(() => false);

  function phaseOf(phaseKey: PhaseKey): Phase {
    let phase = phases.get(phaseKey);
    if (!phase) {
      phase = { sums: new Map(), known: undefined, before: [], at: servers.map(newAtServer) };
      phases.set(phaseKey, phase);
    }
    return phase;
  }

  /** The backup is asked only while the primary can't be believed alone: at first, while it is away, while it is behind. */
  const mustAsk = (phase: Phase, server: number): boolean =>
    server === 0 ||
    isAway[0]! ||
    phase.at[0]!.isBehind ||
    !phase.at[server]!.wasAsked ||
    phase.at[server]!.isBehind;

  /** The sums that this server is told now. */
  function toTell({ sums, at }: Phase, server: number): ToldSum[] {
    const { confirmed, turnsSinceTold, isBehind: behind } = at[server]!;
    const again = turnsSinceTold >= (behind ? TELL_AGAIN_TURNS_BEHIND : TELL_AGAIN_TURNS);
    const all = [...sums].map(([who, sum]) => ({ who, sum }));
    return again ? all : all.filter(({ who, sum }) => isBehind(confirmed.get(who) ?? NOTHING_GIVEN, sum));
  }

  async function turnOf(phaseKey: PhaseKey, phase: Phase, server: number): Promise<void> {
    const at = phase.at[server]!;
    at.turnsSinceTold += 1;
    const sums = toTell(phase, server);
    if (sums.length === 0 && !mustAsk(phase, server)) return;
    try {
      const total =
        sums.length > 0 ? await servers[server]!.tell(phaseKey, sums) : await servers[server]!.look(phaseKey);
      for (const { who, sum } of sums) grow(at.confirmed, who, sum);
      if (sums.length === phase.sums.size) at.turnsSinceTold = 0;
      heard(phase, server, total);
      if (isAway[server]) logger.info({ server: NAMES[server] }, 'a server of the totals is back');
      isAway[server] = false;
      if (at.turnsBehind >= MEND_AFTER_TURNS) await mend(phaseKey, server);
    } catch (error) {
      if (!(error instanceof RetryableFault)) throw error;
      if (!isAway[server])
        logger.warn({ server: NAMES[server], reason: error.message }, 'a server of the totals is away');
      isAway[server] = true;
    } finally {
      at.wasAsked = true;
    }
  }

  /**
   * A server is behind as soon as it says less than it said before, and no longer when it has everything that was known
   * some turns ago: while others tell the two servers, the one is always a little ahead of the other.
   */
  function heard(phase: Phase, server: number, total: HotTotal): void {
    const at = phase.at[server]!;
    const strict = server === 0 && !at.isBehind;
    const yardstick = strict ? phase.known : phase.before[TURNS_TO_TELL];
    at.isBehind = yardstick !== undefined && isBehind(total, yardstick);
    if (strict && at.isBehind) at.turnsSinceTold = TELL_AGAIN_TURNS_BEHIND;
    at.turnsBehind = at.isBehind ? at.turnsBehind + 1 : 0;
    if (mustAsk(phase, server)) phase.known = phase.known ? atLeast(phase.known, total) : total;
  }

  /** Tells a server what the other one remembers of everybody, the dead too. One process does it, and may do it twice. */
  async function mend(phaseKey: PhaseKey, server: number): Promise<void> {
    const from = servers.findIndex((_, other) => other !== server && !isAway[other]);
    if (from === -1 || !(await servers[server]!.mayMend(phaseKey))) return;
    let instances = 0;
    for await (const sums of servers[from]!.told(phaseKey)) {
      if (sums.length > 0) await servers[server]!.tell(phaseKey, sums);
      instances += sums.length;
    }
    logger.warn(
      { server: NAMES[server], phaseKey, instances },
      'a server of the totals had lost something; it was told again what the other one knows',
    );
  }

  return {
    add(phaseKey, given) {
      const { sums } = phaseOf(phaseKey);
      sums.set(instance, plus(sums.get(instance) ?? NOTHING_GIVEN, given));
    },
    confirm(phaseKey, database, credited) {
      grow(phaseOf(phaseKey).sums, databaseName(database), credited);
    },
    shown(phaseKey) {
      const { known, sums, at } = phaseOf(phaseKey);
      if (!known || at.some(({ wasAsked }) => !wasAsked)) return undefined;
      return atLeast(known, sums.get(instance) ?? NOTHING_GIVEN);
    },
    async turn(server) {
      if (server === 0)
        for (const phase of phases.values())
          if (phase.known)
            phase.before.splice(0, phase.before.length, phase.known, ...phase.before.slice(0, TURNS_TO_TELL));
      await Promise.all([...phases].map(([phaseKey, phase]) => turnOf(phaseKey, phase, server)));
    },
    status: () => ({
      untold: [...phases.values()].filter(({ sums, at }) =>
        at.some(({ confirmed }) =>
          [...sums].some(([who, sum]) => isBehind(confirmed.get(who) ?? NOTHING_GIVEN, sum)),
        ),
      ).length,
      away: NAMES.filter((_, server) => isAway[server]),
      behind: NAMES.filter((_, server) => [...phases.values()].some(({ at }) => at[server]?.isBehind)),
    }),
  };
}

/** Neither part of a sum is ever taken back. */
const grow = (sums: Map<string, HotTotal>, who: string, sum: HotTotal): void =>
  void sums.set(who, atLeast(sums.get(who) ?? NOTHING_GIVEN, sum));

const newAtServer = (): AtServer => ({
  confirmed: new Map(),
  turnsSinceTold: 0,
  wasAsked: false,
  isBehind: false,
  turnsBehind: 0,
});
