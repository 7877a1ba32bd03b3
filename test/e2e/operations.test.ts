import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '../support/command-line.ts';
import { startEngineForTest, type TestEngine } from '../support/engine.ts';

const PAGE = readFileSync('docs/operations.md', 'utf8');
const CAMPAIGN = 'examples/gala.yaml';

/** What a page says is typed in, typed in: docs/operations.md against a running engine. */
describe('the page on operating', { timeout: 60_000 }, () => {
  const dataFolder = mkdtempSync(path.join(tmpdir(), 'hongbao-operations-'));
  let engine: TestEngine;
  let environment: Record<string, string>;

  beforeAll(async () => {
    engine = await startEngineForTest({ campaignFile: CAMPAIGN, dataFolder });
    const opsPort = new URL(engine.opsUrl).port;
    environment = { HONGBAO_DATA: dataFolder, HONGBAO_PORT: String(engine.port), HONGBAO_OPS_PORT: opsPort };
  });
  afterAll(async () => {
    await engine?.stop();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  const run = (command: string) =>
    runCommandLine(command.replaceAll(/[a-z]*\.yaml/g, CAMPAIGN).split(' '), environment);

  /** Commands that start an engine are run by everything else here. */
  const startsAnEngine = /^(dev|serve)\b/;
  const typed = [
    ...new Set(
      [...PAGE.matchAll(/(?:npx hongbao|`hongbao) ([^`#\n]+)/g)]
        .map((match) => match[1]!.trim())
        .filter((command) => !startsAnEngine.test(command)),
    ),
  ];
  it.each(typed)('hongbao %s', async (command) => {
    const { exitCode, stderr } = await run(command);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  });

  /** One way to type each row of the table of commands. */
  const examples: Readonly<Record<string, string>> = {
    doctor: 'doctor --json',
    status: 'status --json',
    'campaign check FILE': 'campaign check gala.yaml --json',
    'campaign apply FILE': 'campaign apply gala.yaml --json',
    'credit-rate [N\\|off]': 'credit-rate off --json',
    'switch [book\\|log] [on\\|off]': 'switch book on --json',
    'cue ROUND --phase ID --at TIME': 'cue 1 --phase nowhere --at now --json',
    'keys rotate': 'keys rotate --json',
    'awards dead': 'awards dead --json',
    'awards stuck': 'awards stuck --json',
    'awards replay [NUMBER]': 'awards replay --all --json',
    'upstream add NAME': 'upstream add tv --campaign gala --scenes fireworks --json',
    shake: 'shake --user ann --times 1 --interval 0 --json',
    wallet: 'wallet --user ann --json',
    withdraw: 'withdraw --user ann --amount 1 --json',
    audit: 'audit --json',
    'config print': 'config print --json',
    'completion bash\\|zsh': 'completion bash',
  };
  const rows = PAGE.slice(PAGE.indexOf('## The command line'), PAGE.indexOf('## Watching it'))
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...line.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
    .filter((command) => !startsAnEngine.test(command));

  it('has a row for each command that there is an example of', () =>
    expect([...rows].sort()).toEqual(Object.keys(examples).sort()));

  it.each(rows)('answers to %s', async (row) => {
    const { exitCode, stdout } = await run(examples[row]!);
    // A person without money is refused a withdrawal (1); nothing is used wrongly (2), and the engine is found (3).
    expect(exitCode, stdout).toBeLessThan(2);
    if (examples[row]!.endsWith('--json')) expect(() => JSON.parse(stdout)).not.toThrow();
  });

  it('makes the first operator as it says, once', async () => {
    const line = PAGE.split('\n').find((one) => one.startsWith('curl '))!;
    const [, address, body] = /-X POST (\S+) .* -d '([^']+)'/.exec(line)!;
    const url = `http://${address!.replace('localhost:8081', new URL(engine.opsUrl).host)}`;
    const post = (setupToken: string) =>
      fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: body!.replace('hbs_…', setupToken),
      });
    const [token] = /hbs_\S+/.exec(engine.output())!;
    expect((await post('hbs_0000')).status).toBe(401);
    const made = await post(token);
    expect(await made.json()).toMatchObject({ operatorKey: expect.stringMatching(/^hbo_/) });
    expect((await post(token)).status).toBe(401);
  });

  it('names every metric that there is, each once', async () => {
    const text = await (
      await fetch(`${engine.opsUrl}/metrics`, {
        headers: { authorization: `Bearer ${engine.operatorKey()}` },
      })
    ).text();
    const exported = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!);
    const table = PAGE.slice(PAGE.indexOf('## Watching it'), PAGE.indexOf('## When something is down'));
    const named = [...table.matchAll(/`(hongbao_[a-z0-9_]+)/g)].map((match) => match[1]!);
    expect(exported.filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name, at) => named.indexOf(name) !== at)).toEqual([]);
    expect(text).toContain('hongbao_credited_orders_total{outcome="credited"}');
  });
});
