import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Argument, Command, CommanderError } from 'commander';
import { systemClock } from '../clock.ts';
import { type Config, readConfig, redactConfig } from '../config.ts';
import { ROLE_NAMES } from '../config-cluster.ts';
import { awardsList, awardsReplay } from './award-commands.ts';
import { completionScript, SHELLS } from './completion.ts';
import { doctor } from './doctor.ts';
import { ledgerAddShard, ledgerShards } from './ledger-commands.ts';
import { wholeNumber } from './numbers.ts';
import {
  auditClusterCommand,
  auditCommand,
  campaignApply,
  campaignCheck,
  creditRate,
  cueCommand,
  keysRotate,
  statusCommand,
  switchCommand,
  upstreamAdd,
} from './ops-commands.ts';
import { CliFailure, EXIT, type Output, print, printFailure } from './output.ts';
import { shakeCommand, walletCommand, withdrawCommand } from './play-commands.ts';
import { addReissueCommands } from './reissue-cli.ts';

const FEN_MAX = Number.MAX_SAFE_INTEGER;

interface Flags {
  json?: boolean;
  url?: string;
  campaign?: string;
  session?: string;
  user: string;
}

interface AuditFlags {
  data?: string[];
  ledger?: string;
  history?: string;
  settled?: boolean;
  gateway?: string[];
  statement?: string[];
}

/** The command line. Sets the exit code; throws nothing. */
export async function main(argv: readonly string[]): Promise<void> {
  const output: Output = { json: argv.includes('--json') };
  try {
    await program(output).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      // People were told on standard error; programs read standard output.
      if (output.json && error.exitCode !== 0) print(output, { error: error.message, code: 'usage' }, '');
      return;
    }
    const failure =
      error instanceof CliFailure
        ? error
        : new CliFailure(EXIT.refused, error instanceof Error ? error.message : String(error), {
            code: 'internal',
          });
    printFailure(output, failure);
    process.exitCode = failure.exitCode;
  }
}

function program(output: Output): Command {
  const cli = new Command('hongbao')
    .description('Deal, credit, share and withdraw red packets, exactly once. 春晚级红包引擎')
    .version(packageVersion())
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(hongbao --help lists everything)');
  cli.hook('preAction', () => {
    for (const warning of configuration().warnings) process.stderr.write(`${warning}\n`);
  });

  cli
    .command('dev')
    .description('run everything on this machine, with demo sessions and an example campaign')
    .option('--campaign <file>', 'campaign file to put in force', packaged('examples/gala.yaml'))
    .action((flags: { campaign: string }) => run({ demo: true, campaignFile: flags.campaign }));
  cli
    .command('serve')
    .description('run the engine for real: sessions from HONGBAO_SESSION_KEYS_FILE, no demo')
    .option('--role <role>', `which part to run: ${ROLE_NAMES.join(', ')}, or several with commas`)
    .action((flags: { role?: string }) => {
      if (flags.role !== undefined) process.env.HONGBAO_ROLE = flags.role;
      const { config } = configuration();
      const hasPlayers = config.roles.includes('gateway') || config.roles.includes('wallet');
      if (hasPlayers && config.sessionKeys.length === 0) {
        throw new CliFailure(
          EXIT.usage,
          'No session keys are configured, so no player could ever come in. Set HONGBAO_SESSION_KEYS_FILE (docs/operations.md), or try `hongbao dev`.',
          { code: 'usage' },
        );
      }
      return run({ demo: false });
    });

  const campaign = cli.command('campaign').description('check a campaign file, or put it in force');
  withJson(
    campaign.command('check <file>').description('every mistake, with its line and what would be right'),
  ).action((file: string) => campaignCheck(file, output));
  withJson(
    campaign.command('apply <file>').description('check it and put it in force in the running engine'),
  ).action((file: string) => campaignApply(file, opsOptions({})));

  withJson(cli.command('doctor').description('look at everything that a start needs')).action(() =>
    doctor(configuration().config, systemClock.now(), output),
  );

  asPlayer(cli.command('shake').description('shake until something comes, and open it'))
    .option('--times <n>', 'shakes at most', wholeNumber(1, 100_000), 20)
    .option('--interval <ms>', 'between two shakes', wholeNumber(0, 600_000), 300)
    .action((flags: Flags & { times: number; interval: number }) =>
      shakeCommand({ ...playerOptions(flags), times: flags.times, intervalMs: flags.interval }),
    );
  asPlayer(cli.command('wallet').description('what a person has')).action((flags: Flags) =>
    walletCommand(playerOptions(flags)),
  );
  asPlayer(cli.command('withdraw').description('take money out'))
    .requiredOption('--amount <fen>', 'in fen, 1/100 yuan', wholeNumber(1, FEN_MAX))
    .option('--idempotency-key <key>', 'the same key again is the same withdrawal')
    .option('--no-wait', 'answer as soon as the money is held')
    .option('--timeout <ms>', 'how long to wait for the payment', wholeNumber(0, 600_000), 30_000)
    .action((flags: Flags & { amount: number; idempotencyKey?: string; wait: boolean; timeout: number }) =>
      withdrawCommand({
        ...playerOptions(flags),
        amount: flags.amount,
        idempotencyKey: flags.idempotencyKey,
        wait: flags.wait,
        timeoutMs: flags.timeout,
      }),
    );

  withJson(
    cli.command('keys').command('rotate').description('make a new sealing key; the one before stays valid'),
  ).action(() => keysRotate(opsOptions({})));
  withJson(
    cli
      .command('credit-rate [creditsPerSecond]')
      .description('see or set how fast the ledger is credited (off: no limit)'),
  ).action((rate: string | undefined) => creditRate(rate, opsOptions({})));
  withJson(
    cli
      .command('switch [part] [state]')
      .description('see what is switched off, or switch a part: book or log, on or off'),
  ).action((part: string | undefined, state: string | undefined) =>
    switchCommand(part, state, opsOptions({})),
  );
  withJson(cli.command('cue').argument('<round>', 'its number', wholeNumber(1, 2 ** 31 - 1)))
    .description('move a round of the night, everywhere')
    .requiredOption('--phase <id>', 'the phase that it is of')
    .requiredOption('--at <time>', 'when it begins: an ISO time, or now')
    .option('--campaign <id>', 'the campaign')
    .action((round: number, flags: { phase: string; at: string; campaign?: string }) =>
      cueCommand(round, flags, systemClock.now(), opsOptions(flags)),
    );
  const ledger = cli.command('ledger').description('the ledger’s shards');
  withJson(ledger.command('shards').description('which shard holds which buckets')).action(() =>
    ledgerShards(configuration().config, output),
  );
  withJson(
    ledger
      .command('add-shard <name> <url>')
      .description('add a Postgres and bring it its part of the buckets, while everything goes on'),
  ).action((name: string, url: string) => ledgerAddShard(configuration().config, name, url, output));
  const awards = cli.command('awards').description('pieces that were not handed out');
  for (const list of ['dead', 'stuck'] as const)
    withJson(
      awards
        .command(list)
        .description(
          list === 'dead' ? 'dead letters, and why' : 'pieces that are still asked for after many tries',
        )
        .option('--limit <n>', 'how many at most', wholeNumber(1, 1_000_000), 100),
    ).action((flags: { limit: number }) => awardsList(list, flags.limit, opsOptions({})));
  withJson(
    awards
      .command('replay [orderNumber]')
      .description('take a dead letter up again; what became of it is asked first')
      .option('--all', 'every dead letter'),
  ).action((orderNumber: string | undefined, flags: { all?: boolean }) =>
    awardsReplay(orderNumber, flags, opsOptions({})),
  );
  withJson(cli.command('upstream').command('add <name>').description('a credential for a service upstream'))
    .requiredOption('--scenes <ids>', 'scenes that it may grant, with commas')
    .option('--campaign <id>', 'the campaign')
    .action((name: string, flags: { scenes: string; campaign?: string }) =>
      upstreamAdd(name, flags.scenes, opsOptions(flags)),
    );
  addReissueCommands(cli, () => opsOptions({}), output);
  withJson(cli.command('status').description('backlog, outcomes, throttle level, health')).action(() =>
    statusCommand(opsOptions({})),
  );

  withJson(cli.command('audit').description('check the invariants on a data folder, with code of its own'))
    .option(
      '--data <folders...>',
      'the data folder (default: HONGBAO_DATA); of a cluster, those that are here',
    )
    .option('--ledger <url>', 'the ledger, if it is not the folder’s own')
    .option('--history <file>', 'what clients saw, JSON lines')
    .option('--settled', 'the backlog is drained: everything promised must be in the ledger')
    .option('--gateway <urls...>', 'at rest: what these show as given must be what was credited')
    .option('--statement <files...>', 'what a partner says it handed out, CSV or JSON lines: CONNECTOR=FILE')
    .action((flags: AuditFlags) => {
      const { config } = configuration();
      const { history, settled = false, gateway: gatewayUrls = [], statement: statements = [] } = flags;
      if (config.cluster && flags.ledger === undefined) {
        const dataFolders = (flags.data ?? []).map((folder) => path.resolve(folder));
        const { cluster } = config;
        return auditClusterCommand({
          ...output,
          config,
          cluster,
          dataFolders,
          history,
          settled,
          gatewayUrls,
          statements,
        });
      }
      return auditCommand({
        ...output,
        dataFolder: path.resolve(flags.data?.[0] ?? config.dataFolder),
        // With --data the folder is another's, and so are its keys.
        keysFolder: flags.data === undefined ? config.keysFolder : undefined,
        ledger: flags.ledger ?? config.ledgerUrls[0],
        history,
        settled,
        gatewayUrls,
        statements,
      });
    });

  withJson(
    cli
      .command('config')
      .command('print')
      .description('the configuration in force, without secrets')
      .option('--redact', 'always so'),
  ).action(() => {
    const redacted = redactConfig(configuration().config);
    print(output, redacted, JSON.stringify(redacted, undefined, 2));
  });
  cli
    .command('completion')
    .description('a script that completes commands and flags: source <(hongbao completion bash)')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => void process.stdout.write(completionScript(shell, cli)));
  return cli;

  function playerOptions(flags: Flags) {
    return { ...opsOptions(flags), user: flags.user, session: flags.session };
  }
  function opsOptions(flags: { url?: string; campaign?: string }) {
    const { config } = configuration();
    return {
      ...output,
      dataFolder: config.dataFolder,
      port: config.port,
      url: flags.url,
      campaign: flags.campaign,
    };
  }
}

const withJson = (command: Command): Command => command.option('--json', 'one JSON object on a line');
const asPlayer = (command: Command): Command =>
  withJson(command)
    .requiredOption('--user <name>', 'who plays')
    .option('--campaign <id>', 'the campaign (default: the running engine’s first)')
    .option('--session <jwt>', 'a session, instead of a demo one')
    .option('--url <url>', 'the engine (default: the one on this data folder)');

function configuration(): { config: Config; warnings: string[] } {
  const read = readConfig(process.env);
  if ('config' in read) return read;
  const lines = read.problems.map(({ variable, message }) => `${variable}: ${message}`);
  throw new CliFailure(
    EXIT.usage,
    `The environment is not right, so nothing was started:\n${lines.join('\n')}`,
    { code: 'config', problems: read.problems },
  );
}

/** A file of the package, from wherever the command is run; of the checkout when there is no bundle. */
function packaged(file: string): string {
  const beside = fileURLToPath(new URL(`../${file}`, import.meta.url));
  return existsSync(beside) ? beside : path.resolve(file);
}

const packageVersion = (): string =>
  (JSON.parse(readFileSync(packaged('package.json'), 'utf8')) as { version: string }).version;

async function run(options: { demo: boolean; campaignFile?: string }): Promise<void> {
  const { runEngine } = await import('../all-in-one.ts');
  await runEngine(configuration().config, {
    ...options,
    portIsDefault: process.env.HONGBAO_PORT === undefined,
  });
}
