// Type check, lint and format, protobuf lint, tidy: everything about the code that needs no running engine.
import { spawnSync } from 'node:child_process';

const bin = (name) => `node_modules/.bin/${name}`;
const steps = [
  ['types', bin('tsc'), ['-p', '.']],
  ['lint and format', bin('biome'), ['ci', '--error-on-warnings', '.']],
  ['protobuf', bin('buf'), ['lint']],
  ['tidy', process.execPath, ['tools/run.mjs', 'tools/tidy.ts']],
];
let failed = 0;
for (const [name, command, args] of steps) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  process.stdout.write(`${status === 0 ? 'ok  ' : 'FAIL'}  ${name}\n`);
  if (status !== 0) failed += 1;
}
process.exitCode = failed > 0 ? 1 : 0;
