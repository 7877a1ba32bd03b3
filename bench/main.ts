// `npm run bench [-- --json FILE] [--rows-10m]`: ratios, each measured in one run on one machine against the bare engine.
// --rows-10m: also what a credit costs among ten million rows; takes minutes and 8 GB of disk.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { benchLedger } from './ledger.ts';
import { benchLedgerGrowth } from './ledger-growth.ts';
import { benchSeal } from './seal.ts';
import { benchShake } from './shake.ts';

const shake = await benchShake();
const seal = await benchSeal();
const ledger = await benchLedger();
const ratios = {
  shakeOverBareWs: shake.shakeOverBareWs,
  sealOverSingleSignature: seal.sealOverSingleSignature,
  creditOverCopy: ledger.creditOverCopy,
  creditOverSingleTransaction: ledger.creditOverSingleTransaction,
};
const AIMS: Record<keyof typeof ratios, number> = {
  shakeOverBareWs: 0.7,
  sealOverSingleSignature: 3,
  creditOverCopy: 0.4,
  creditOverSingleTransaction: 20,
};
const COST_MANY_OVER_FEW_MAX = 1.3;
const MEANING: Record<keyof typeof ratios, string> = {
  shakeOverBareWs: 'shakes a core / bare ws echoes of the same frames a core',
  sealOverSingleSignature: 'tokens sealed and logged / the same with a signature each',
  creditOverCopy: 'credits / bare COPY of the same orders, same connections and transactions',
  creditOverSingleTransaction: 'credits in batches / one transaction a credit',
};
for (const name of Object.keys(ratios) as (keyof typeof ratios)[]) {
  process.stdout.write(
    `${ratios[name] >= AIMS[name] ? 'ok  ' : 'LOW '} ${name.padEnd(28)} ${ratios[name].toFixed(2).padStart(7)}  (aim ${AIMS[name]})  ${MEANING[name]}\n`,
  );
}
const figures: Record<string, object> = { shake, seal, ledger };
for (const [part, values] of Object.entries(figures)) {
  for (const [name, value] of Object.entries(values as Record<string, number>)) {
    if (!(name in ratios))
      process.stdout.write(
        `     ${`${part}.${name}`.padEnd(44)} ${Math.round(value).toLocaleString('en')}\n`,
      );
  }
}
if (process.argv.includes('--rows-10m')) {
  const growth = await benchLedgerGrowth();
  Object.assign(figures, { growth });
  Object.assign(ratios, { creditCostManyOverFew: growth.creditCostManyOverFew });
  process.stdout.write(
    `${growth.creditCostManyOverFew <= COST_MANY_OVER_FEW_MAX ? 'ok  ' : 'HIGH'} ${'creditCostManyOverFew'.padEnd(28)} ${growth.creditCostManyOverFew.toFixed(2).padStart(7)}  (at most ${COST_MANY_OVER_FEW_MAX})  cost of a credit among 10,000,000 rows / among 100,000\n`,
  );
}
const file = process.argv[process.argv.indexOf('--json') + 1];
if (process.argv.includes('--json') && file) {
  writeFileSync(
    file,
    `${JSON.stringify({ ratios, figures, machine: { cpus: os.cpus().length, model: os.cpus()[0]?.model, node: process.version } }, undefined, 2)}\n`,
  );
}
