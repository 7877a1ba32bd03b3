// `npm test`: the checks, the build, and every test; ends with "N passed, N failed".
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const report = path.join(os.tmpdir(), `hongbao-test-${process.pid}.json`);
const run = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0;
run(process.execPath, ['tools/run.mjs', 'tools/services.ts', 'ensure']);
const checks = run(process.execPath, ['tools/check.mjs']);
const built = run(process.execPath, ['tools/build.mjs']);
const tests = run('node_modules/.bin/vitest', [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
]);

let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed = result.numPassedTests;
  failed =
    result.numFailedTests +
    result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
      .length;
  skipped = result.numPendingTests;
} catch {
  failed = 1;
}
rmSync(report, { force: true });
for (const ok of [checks, built]) {
  if (ok) passed += 1;
  else failed += 1;
}
if (!tests && failed === 0) failed = 1;
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failed > 0 ? 1 : 0;
