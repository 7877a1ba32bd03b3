import type { Command } from 'commander';
import { PER_SECOND_MAX } from '../../control/reissue/http.ts';
import { wholeNumber } from './numbers.ts';
import type { Output } from './output.ts';
import {
  type OperatorOptions,
  operatorAdd,
  operatorList,
  reissueAct,
  reissueApprove,
  reissueBring,
  reissueRate,
  reissueResult,
  reissueStatus,
} from './reissue-commands.ts';

interface OperatorFlags {
  keyFile?: string;
  ops?: string;
  file?: string;
  out?: string;
}

const JOB = ['<job>', 'its number', wholeNumber(1, 2 ** 31 - 1)] as const;

/** `hongbao reissue` and `hongbao operator`. */
export function addReissueCommands(
  cli: Command,
  target: () => Omit<OperatorOptions, 'keyFile' | 'opsUrl' | keyof Output>,
  output: Output,
): void {
  // `reissue` itself and its subcommands share options; whichever of them took one, it is meant.
  const all = (command: Command): OperatorFlags => command.optsWithGlobals<OperatorFlags>();
  const options = (command: Command): OperatorOptions => {
    const { keyFile, ops } = all(command);
    return { ...target(), ...output, keyFile, opsUrl: ops };
  };
  const reissue = asOperator(cli.command('reissue'))
    .description('give what people should have got, from a list (补发): dry run, second approval, run')
    .option('-f, --file <list.csv>', 'brings a list: checks it, prints its totals, gives nothing')
    .action(({ file }: { file?: string }, command: Command) =>
      file === undefined ? reissueStatus(undefined, options(command)) : reissueBring(file, options(command)),
    );
  asOperator(reissue.command('approve').argument(...JOB))
    .description('by somebody other than who made it: its content may be given')
    .option('-f, --file <list.csv>', 'the list as the approver has it: refused when the job’s is another')
    .action((id: number, _: object, command: Command) =>
      reissueApprove(id, all(command).file, options(command)),
    );
  const acts = {
    start: 'begins, goes on after a pause, or asks again for what was refused',
    pause: 'begins no more lines',
    cancel: 'for good; what was given stays given',
  } as const;
  for (const [act, description] of Object.entries(acts))
    asOperator(reissue.command(act).argument(...JOB))
      .description(description)
      .action((id: number, _: object, command: Command) =>
        reissueAct(act as keyof typeof acts, id, options(command)),
      );
  asOperator(
    reissue
      .command('rate')
      .argument(...JOB)
      .argument('<perSecond>', 'lines a second', wholeNumber(1, PER_SECOND_MAX)),
  )
    .description('how fast, also while it runs')
    .action((id: number, perSecond: number, _: object, command: Command) =>
      reissueRate(id, perSecond, options(command)),
    );
  asOperator(reissue.command('status').argument('[job]', 'its number', wholeNumber(1, 2 ** 31 - 1)))
    .description('all lists, or one: totals, progress, who did what')
    .action((id: number | undefined, _: object, command: Command) => reissueStatus(id, options(command)));
  asOperator(reissue.command('result').argument(...JOB))
    .description('what became of each line, as CSV')
    .option('-f, --file <list.csv>', 'the list: its columns are put beside the result')
    .option('-o, --out <result.csv>', 'where to (default: standard output)')
    .action((id: number, _: object, command: Command) => reissueResult(id, all(command), options(command)));

  const operator = cli.command('operator').description('who may operate, and approve');
  asOperator(operator.command('add').argument('<name>', 'letters, digits, hyphens'))
    .description('another operator; prints the key once')
    .action((name: string, _: object, command: Command) => operatorAdd(name, options(command)));
  asOperator(operator.command('list'))
    .description('operators, and who added them')
    .action((_: object, command: Command) => operatorList(options(command)));
}

const asOperator = (command: Command): Command =>
  command
    .configureHelp({ showGlobalOptions: false })
    .option('--key-file <file>', 'file with your operator key (default: this machine’s own)')
    .option('--ops <url>', 'where operations listen (default: the engine on this data folder)')
    .option('--json', 'one JSON object on a line');
