// `npm run bench [-- --json FILE]`: ratios, each measured in one run on one machine against the bare engine.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { benchLedger } from './ledger.ts';
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
const MEANING: Record<keyof typeof ratios, string> = {
  shakeOverBareWs: 'shakes a core / bare ws echoes of the same frames a core',
  sealOverSingleSignature: 'tokens sealed and logged / the same with a signature each',
  creditOverCopy: 'credits / bare COPY of the same rows, two connections each',
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
const file = process.argv[process.argv.indexOf('--json') + 1];
if (process.argv.includes('--json') && file) {
  writeFileSync(
    file,
    `${JSON.stringify({ ratios, figures, machine: { cpus: os.cpus().length, model: os.cpus()[0]?.model, node: process.version } }, undefined, 2)}\n`,
  );
}
