import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh'] as const;

/** A completion script made from the commands themselves, so that it can't fall behind them. */
export function completionScript(shell: (typeof SHELLS)[number], cli: Command): string {
  const cases = wordsByCommand(cli, []).map(
    ([command, words]) => `    '${command}') words='${words.join(' ')}' ;;`,
  );
  const bash = `_hongbao() {
  local command='' words='' at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "\${COMP_WORDS[at]}" in -*) break ;; *) command="\${command:+$command }\${COMP_WORDS[at]}" ;; esac
  done
  case "$command" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _hongbao hongbao
`;
  return shell === 'bash' ? bash : `autoload -U +X bashcompinit && bashcompinit\n${bash}`;
}

/** Every command by its full name, with what may follow it. */
function wordsByCommand(command: Command, path: readonly string[]): [string, string[]][] {
  const words = [
    ...command.commands.map((one) => one.name()),
    ...command.options.map((option) => option.long ?? option.short!),
    '--help',
  ];
  const below = command.commands.flatMap((one) => wordsByCommand(one, [...path, one.name()]));
  return [[path.join(' '), words], ...below];
}
