import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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
    'operator add NAME': 'operator add eve --json',
    'operator list': 'operator list --json',
    'reissue -f LIST': 'reissue -f examples/reissue.csv --json',
    'reissue approve JOB [-f LIST]': 'reissue approve 1 -f examples/reissue.csv --json',
    'reissue start JOB': 'reissue start 1 --json',
    'reissue pause JOB': 'reissue pause 1 --json',
    'reissue cancel JOB': 'reissue cancel 1 --json',
    'reissue rate JOB PER-SECOND': 'reissue rate 1 50 --json',
    'reissue status [JOB]': 'reissue status 1 --json',
    'reissue result JOB [-f LIST] [-o FILE]': 'reissue result 1 -f examples/reissue.csv --json',
    shake: 'shake --user ann --times 1 --interval 0 --json',
    wallet: 'wallet --user ann --json',
    withdraw: 'withdraw --user ann --amount 1 --json',
    audit: 'audit --json',
    'audit --statement CONNECTOR=FILE': 'audit --statement tea-house=examples/statement.csv --json',
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

  it('gives a list after the fact as its page says, approved by a second person', async () => {
    const json = async (command: string) => {
      const { exitCode, stdout, json: read } = await run(`${command} --json`);
      expect(exitCode, stdout).toBe(0);
      return read();
    };
    const keyFile = path.join(dataFolder, 'bob.key');
    writeFileSync(keyFile, String((await json('operator add bob')).operatorKey));
    const { id, suffices, needs } = await json('reissue -f examples/reissue.csv');
    expect(suffices).toBe(true);
    expect(needs).toMatchObject([
      { scene: 'crane-rain', lines: 1, fen: 188 },
      { scene: 'fireworks', lines: 2, fen: 2_760 },
      { scene: 'tea', lines: 1 },
    ]);
    const byItsMaker = await run(`reissue approve ${id} --json`);
    expect(byItsMaker.exitCode).toBe(1);
    expect(byItsMaker.json()).toMatchObject({ code: 'forbidden' });
    const other = await run(`reissue approve ${id} -f package.json --key-file ${keyFile} --json`);
    expect(other.json()).toMatchObject({ code: 'reissue-changed' });
    await json(`reissue approve ${id} -f examples/reissue.csv --key-file ${keyFile}`);
    await json(`reissue start ${id}`);
    await vi.waitFor(
      async () => expect(await json(`reissue status ${id}`)).toMatchObject({ state: 'done' }),
      { timeout: 30_000, interval: 50 },
    );
    expect(await json(`reissue -f examples/reissue.csv`)).toMatchObject({ id, isNew: false });
    const { columns, lines } = (await json(`reissue result ${id} -f examples/reissue.csv`)) as {
      columns: string[];
      lines: string[][];
    };
    const column = (name: string) => lines.map((line) => line[columns.indexOf(name)]);
    expect(column('reason')).toEqual(['', '', '', '']);
    expect(column('outcome')).toEqual(['granted', 'granted', 'granted', 'granted']);
    expect(column('user')).toEqual(['ann', 'ben', 'cat', 'dan']);
    // A coupon is given like money, and lies with the person's pieces.
    expect(column('orderNumber')[3]).toMatch(/_tea_1_drinks-coupon_live$/);
    await vi.waitFor(
      async () => expect((await json('wallet --user dan')).awards).toMatchObject([{ sceneId: 'tea' }]),
      { timeout: 30_000, interval: 50 },
    );
    expect(await json('wallet --user ben')).toMatchObject({ balanceFen: 1_880 });
    expect((await json(`reissue status ${id}`)).events).toMatchObject([
      { by: 'local', act: 'made' },
      { by: 'engine', act: 'checked' },
      { by: 'bob', act: 'approve' },
      { by: 'local', act: 'start' },
      { by: 'engine', act: 'done' },
    ]);
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
