import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Plugin } from 'esbuild';
import type { Pool } from 'pg';
import { createCampaigns } from '../../../src/control/campaigns.ts';
import type { Allotments } from '../../../src/engines/ports.ts';
import { allotmentMigrations, createAllotments } from '../../../src/engines/postgres/allotments/index.ts';
import { controlMigrations, createControlStore } from '../../../src/engines/postgres/control-store/index.ts';
import { migrate } from '../../../src/engines/postgres/migrate.ts';
import { openPool } from '../../../src/engines/postgres/pool.ts';
import { ledgerMigrations } from '../../../src/ledger/index.ts';
import { systemClock } from '../../../src/processes/clock.ts';
import { openKeyring } from '../../../src/stations/4-seal/keyring.ts';
import type { PhaseKey } from '../../../src/vocabulary/ids.ts';
import { seeded } from '../orders.ts';
import { quiet, startTestPostgres } from '../postgres.ts';
import { bundleScript } from '../script.ts';
import { campaignFile } from './campaign.ts';
import { faultsOf, type Told } from './judge.ts';
import type { SpenderPlan } from './spender.ts';

/** One place of the engine's own code, written otherwise. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Spending {
  readonly seed: number;
  /** Of sixteen spenders each. */
  readonly processes: number;
  readonly packets: number;
  readonly kills: number;
  readonly mutation?: Mutation;
}

export interface SpendingReport {
  /** What is not as it must be; empty when everything is. */
  readonly faults: readonly string[];
  readonly won: number;
  readonly killed: number;
}

const SPENDERS = 16;
/** Three are enough, unless stock comes out of nowhere. */
const ROUNDS_MAX = 6;
const WITHIN_MS = 150_000;

function mutating({ file, from, to }: Mutation): Plugin {
  return {
    name: 'mutation',
    setup({ onLoad }) {
      onLoad({ filter: new RegExp(`${file.replaceAll(/[./]/g, '\\$&')}$`) }, ({ path: found }) => {
        const text = readFileSync(found, 'utf8');
        if (text.split(from).length !== 2) throw new Error(`${file} does not have exactly one "${from}"`);
        return { contents: text.replace(from, to), loader: 'ts' };
      });
    },
  };
}

/**
 * Processes of sixteen spenders each, on one Postgres, who ask for more than there is. Answers get lost, orders are
 * asked for again, processes are killed and begin anew; in the end everybody spends on until nothing is left.
 */
export async function spendEverything(options: Spending): Promise<SpendingReport> {
  const random = seeded(options.seed);
  const root = mkdtempSync(path.join(tmpdir(), 'hongbao-budgets-'));
  const script = path.join(root, 'spender.mjs');
  const [server] = await Promise.all([
    startTestPostgres(),
    bundleScript('budgets/spender.ts', script, options.mutation ? [mutating(options.mutation)] : []),
  ]);
  const url = await server.createDatabase();
  const pool = openPool({ url, logger: quiet, connectionsMax: 4, applicationName: 'stage' });
  const crew = createCrew(random, options.kills);
  try {
    const allotments = createAllotments({
      pool,
      randomBelow: (below) => below - 1n,
      retry: { tries: 3, sleepMs: async () => {}, random },
    });
    const source = campaignFile(random, options.packets);
    const phaseKey = await setUp(pool, allotments, source);
    openKeyring(path.join(root, 'keys'), systemClock);
    const names = Array.from({ length: options.processes }, (_, at) => `process-${at}`);
    const journals = names.map((name) => path.join(root, name, 'journal'));
    for (const [at, name] of names.entries())
      crew.add({
        script,
        plan: {
          name,
          url,
          journal: journals[at]!,
          keys: path.join(root, 'keys'),
          source,
          phaseKey,
          seed: options.seed + at,
          spenders: SPENDERS,
          firstPerson: (at + 1) * 1_000_000,
        },
      });
    await crew.spendToTheEnd(async () => {
      const lines = await allotments.budgets(phaseKey);
      return lines.reduce((sum, { remaining }) => sum + BigInt(remaining.packets) + remaining.fen, 0n);
    });
    const lines = await allotments.budgets(phaseKey);
    // One that never came to its journal, because another had ended by then, has promised nothing.
    const faults = await faultsOf({ url, journals: journals.filter(existsSync), lines, told: crew.told });
    return { faults: [...crew.faults, ...faults], won: crew.told.size, killed: crew.killed() };
  } finally {
    crew.stop();
    await pool.end();
    await server.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Databases and budgets, by the way that control goes. */
async function setUp(pool: Pool, allotments: Allotments, source: string): Promise<PhaseKey> {
  await migrate(pool, [...ledgerMigrations, ...allotmentMigrations, ...controlMigrations]);
  const store = createControlStore(pool);
  const announcer = { announce: async () => ({ sequence: 1 }) } as never;
  const applied = await createCampaigns({ store, allotments, announcer }).apply(source);
  if (!('id' in applied)) throw new Error(`the campaign was not taken: ${JSON.stringify(applied)}`);
  return [...(await store.campaigns())[0]!.phaseKeys.values()][0]!;
}

interface Member {
  readonly script: string;
  readonly plan: SpenderPlan;
  child: ChildProcess;
  isUp: boolean;
  lastPerson: number;
  /** What it said last before it ended by itself. */
  errors: string;
}

/** The processes: starts, kills and hears them. */
function createCrew(random: () => number, kills: number) {
  const members: Member[] = [];
  const told: Told = new Map();
  const faults: string[] = [];
  let answers = 0;
  let killed = 0;
  let nextKillAt = 50 + random() * 100;
  let rested = new Set<Member>();
  let isOver = false;
  /** Resolved whenever something happened that somebody may wait for. */
  let stir: () => void = () => {};

  function start(member: Member): void {
    member.isUp = false;
    // Some of those it had asked before are asked again: what was promised then is promised now.
    const firstPerson = Math.max(member.plan.firstPerson, member.lastPerson - 30);
    const plan = { ...member.plan, firstPerson, seed: member.plan.seed + 100 * killed };
    const child = spawn(process.execPath, [member.script, JSON.stringify(plan)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    member.child = child;
    child.stdin!.on('error', () => {});
    child.stderr!.on('data', (chunk: Buffer) => {
      member.errors = (member.errors + chunk.toString()).slice(-1_000);
    });
    createInterface({ input: child.stdout! }).on('line', (said) => hear(member, said));
    child.on('close', (_, signal) => {
      if (isOver) return;
      if (signal === 'SIGKILL') return start(member);
      faults.push(`${member.plan.name} ended by itself: ${member.errors}`);
      stir();
    });
  }

  function hear(member: Member, said: string): void {
    const [kind, person, order, fen] = said.split(' ');
    if (kind === 'up') member.isUp = true;
    else if (kind === 'rest') rested.add(member);
    else {
      member.lastPerson = Math.max(member.lastPerson, Number(person));
      answers += 1;
    }
    if (kind === 'w') {
      const before = told.get(order!);
      if (before !== undefined && before !== fen)
        faults.push(`${order} was answered with ${before} and ${fen}`);
      told.set(order!, fen!);
    }
    if (answers >= nextKillAt && killed < kills) killOne();
    stir();
  }

  function killOne(): void {
    const up = members.filter(({ isUp }) => isUp);
    const one = up[Math.floor(random() * up.length)];
    if (!one) return;
    killed += 1;
    nextKillAt = answers + 50 + random() * 150;
    one.isUp = false;
    one.child.kill('SIGKILL');
  }

  /** Until it holds, or somebody ended who should not have, or it takes too long. */
  async function until(holds: () => boolean, what: string): Promise<void> {
    const lastMs = performance.now() + WITHIN_MS;
    while (!holds() && faults.length === 0) {
      if (performance.now() > lastMs) {
        faults.push(`it did not come about: ${what}`);
        return;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        stir = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  return {
    told,
    faults,
    killed: () => killed,
    add({ script, plan }: Pick<Member, 'script' | 'plan'>): void {
      const member: Member = {
        script,
        plan,
        child: undefined as never,
        isUp: false,
        lastPerson: 0,
        errors: '',
      };
      members.push(member);
      start(member);
    },
    /** `left` is what remains in all lines: as long as it shrinks, everybody is sent for more. */
    async spendToTheEnd(left: () => Promise<bigint>): Promise<void> {
      await until(() => killed >= kills && answers >= nextKillAt, 'kills');
      await until(() => members.every(({ isUp }) => isUp), 'everybody up again');
      let [before, now] = [-1n, 0n];
      for (let round = 0; round < ROUNDS_MAX && before !== now && faults.length === 0; round += 1) {
        before = now;
        rested = new Set();
        for (const { child } of members) child.stdin!.write('finish\n');
        await until(() => rested.size === members.length, 'everybody at rest');
        now = await left();
      }
    },
    stop(): void {
      isOver = true;
      for (const { child } of members) child.kill('SIGKILL');
    },
  };
}
