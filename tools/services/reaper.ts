import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * Nothing that we start outlives us, even when we are killed: a shell in a session of its own reads from a pipe whose
 * only other end is ours. When the pipe ends (the system closes it whatever we die of), the shell kills what was
 * noted and not taken back, and removes the folder. SIGKILL ends frozen processes too.
 */
const SCRIPT = `
folder=$1; pids=" "
while read -r verb pid; do
  case $verb in
    add) pids="$pids$pid " ;;
    del) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do
  for below in $(ps -A -o pid= -o ppid= 2>/dev/null | awk -v p="$pid" '$2 == p { print $1 }'); do kill -9 "$below"; done
  kill -9 "$pid"
done 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$folder" 2>/dev/null && break; sleep 0.2; done
`;

export interface Reaper {
  /** Every server's files lie below it. Gone when this process is. */
  readonly folder: string;
  watch(pid: number): void;
  forget(pid: number): void;
}

let reaper: Reaper | undefined;

/** This process's own; made on first use. */
export function ownReaper(): Reaper {
  reaper ??= startReaper();
  return reaper;
}

function startReaper(): Reaper {
  const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-services-'));
  const shell: ChildProcess = spawn('/bin/sh', ['-c', SCRIPT, 'reaper', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  shell.unref();
  const { stdin } = shell;
  if (!stdin) throw new Error('the reaper has no pipe');
  stdin.on('error', () => {});
  (stdin as unknown as { unref(): void }).unref();
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return {
    folder,
    watch: (pid) => stdin.write(`add ${pid}\n`),
    forget: (pid) => stdin.write(`del ${pid}\n`),
  };
}
