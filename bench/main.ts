// `npm run bench [-- --json FILE] [--only PART] [--rows-10m]`: ratios, each measured in one run on one machine against
// the bare engine. --rows-10m: also what a credit costs among ten million rows; takes minutes and 8 GB of disk.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { whyMissing } from '../tools/services.ts';
import { benchBudgets } from './budgets.ts';
import { benchHotTotals } from './hot-totals.ts';
import { benchIdentity } from './identity.ts';
import { benchJetStream } from './jetstream.ts';
import { benchLedger } from './ledger.ts';
import { benchLedgerGrowth } from './ledger-growth.ts';
import { benchRedis } from './redis.ts';
import { benchSdk } from './sdk.ts';
import { benchSeal } from './seal.ts';
import { benchShake } from './shake.ts';
import { benchTurns } from './turns.ts';
import { benchWithdraw } from './withdraw.ts';

/** What a ratio is held against. */
interface Aim {
  readonly name: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly meaning: string;
}

interface Part {
  readonly name: string;
  /** Why it can't be measured on this machine. */
  readonly missing?: string | undefined;
  readonly measure: () => Promise<object>;
  readonly aims: readonly Aim[];
}

const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string' },
    'rows-10m': { type: 'boolean', default: false },
  },
});

const PARTS: readonly Part[] = [
  {
    name: 'shake',
    measure: benchShake,
    aims: [
      {
        name: 'shakeOverBareWs',
        atLeast: 0.7,
        meaning: 'shakes a core / bare ws echoes of the same frames a core',
      },
    ],
  },
  {
    name: 'seal',
    measure: benchSeal,
    aims: [
      {
        name: 'sealOverSingleSignature',
        atLeast: 3,
        meaning: 'tokens sealed and logged / the same with a signature each',
      },
    ],
  },
  {
    name: 'ledger',
    measure: benchLedger,
    aims: [
      {
        name: 'creditOverCopy',
        atLeast: 0.4,
        meaning: 'credits / bare COPY of the same orders, same connections and transactions',
      },
      {
        name: 'creditOverSingleTransaction',
        atLeast: 20,
        meaning: 'credits in batches / one transaction a credit',
      },
    ],
  },
  {
    name: 'withdraw',
    measure: benchWithdraw,
    aims: [
      {
        name: 'withdrawP99WaitingOverNone',
        atMost: 2,
        meaning: 'p99 of a withdrawal while a million tokens wait / while none waits',
      },
    ],
  },
  {
    name: 'jetstream',
    missing: whyMissing('nats'),
    measure: benchJetStream,
    aims: [
      {
        name: 'journaledOverBare',
        atLeast: 0.5,
        meaning: 'orders promised in two copies / bare publishes of the same bytes, batched alike',
      },
    ],
  },
  {
    name: 'identity',
    missing: whyMissing('postgres'),
    measure: benchIdentity,
    aims: [
      {
        name: 'togetherOverOneByOne',
        atLeast: 3,
        meaning: 'new people a second, asked about together / a query each on as many connections',
      },
    ],
  },
  {
    name: 'budgets',
    missing: whyMissing('redis'),
    measure: benchBudgets,
    aims: [
      {
        name: 'leaseOverIncr',
        atLeast: 1,
        meaning: 'grants out of leased slices / grants by INCR and check on the faster of 1 and 100 keys',
      },
      { name: 'leaseError', atMost: 0, meaning: 'given over or under the stock / the stock' },
    ],
  },
  {
    name: 'redis',
    missing: whyMissing('redis'),
    measure: benchRedis,
    aims: [
      {
        name: 'bookOverBareRedis',
        atLeast: 0.5,
        meaning: 'tokens noted in the book / bare writes of the same bytes, batched alike',
      },
    ],
  },
  {
    name: 'turns',
    missing: whyMissing('redis'),
    measure: benchTurns,
    aims: [
      {
        name: 'noTurnOverTurnCpu',
        atLeast: 0.8,
        meaning:
          'CPU of a grant that only reads what the person won / of one that takes their turn too, gateway and Redis',
      },
    ],
  },
  {
    name: 'sdk',
    missing: whyMissing('redis'),
    measure: benchSdk,
    aims: [
      {
        name: 'httpCpuOverLibrary',
        atLeast: 1.5,
        meaning:
          'CPU of a balance over HTTP on loopback / in the caller’s process, both looked up every time',
      },
      {
        name: 'httpCpuOverRemembered',
        atLeast: 20,
        meaning: 'CPU of a balance over HTTP on loopback / in the caller’s process, up to a second old',
      },
    ],
  },
  {
    name: 'totals',
    missing: whyMissing('redis'),
    measure: benchHotTotals,
    aims: [
      {
        name: 'localOverSplitKeys',
        atLeast: 100,
        meaning: 'looks at the total in memory / the same by reading 100 split keys (seed 2022, 4.5.1)',
      },
      {
        name: 'redisOverAsked',
        atLeast: 1,
        meaning: 'what a core of Redis does of these commands / what 28,000 instances ask once a second',
      },
    ],
  },
  ...(flags['rows-10m']
    ? [
        {
          name: 'growth',
          measure: benchLedgerGrowth,
          aims: [
            {
              name: 'creditCostManyOverFew',
              atMost: 1.3,
              meaning: 'cost of a credit among 10,000,000 rows / among 100,000',
            },
          ],
        },
      ]
    : []),
];

const figures: Record<string, object> = {};
const ratios: Record<string, number> = {};
const chosen = PARTS.filter(({ name }) => flags.only === undefined || flags.only.split(',').includes(name));
for (const part of chosen) await report(part);
if (flags.json !== undefined) {
  const machine = { cpus: os.cpus().length, model: os.cpus()[0]?.model, node: process.version };
  writeFileSync(flags.json, `${JSON.stringify({ ratios, figures, machine }, undefined, 2)}\n`);
}

async function report({ name, missing, measure, aims }: Part): Promise<void> {
  if (missing !== undefined) {
    say(`--   ${name.padEnd(28)} not measured: ${missing}`);
    return;
  }
  const measured = (await measure()) as Record<string, number>;
  figures[name] = measured;
  for (const aim of aims) {
    const ratio = measured[aim.name]!;
    ratios[aim.name] = ratio;
    const fine = ratio >= (aim.atLeast ?? 0) && ratio <= (aim.atMost ?? Number.POSITIVE_INFINITY);
    const mark = fine ? 'ok  ' : aim.atLeast === undefined ? 'HIGH' : 'LOW ';
    const held = aim.atLeast === undefined ? `at most ${aim.atMost}` : `aim ${aim.atLeast}`;
    say(`${mark} ${aim.name.padEnd(28)} ${ratio.toFixed(2).padStart(7)}  (${held})  ${aim.meaning}`);
  }
  for (const [figure, value] of Object.entries(measured))
    if (!aims.some((aim) => aim.name === figure))
      say(`     ${`${name}.${figure}`.padEnd(44)} ${readable(value)}`);
}

function readable(value: number): string {
  return Math.abs(value) < 10 ? value.toFixed(2) : Math.round(value).toLocaleString('en');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
