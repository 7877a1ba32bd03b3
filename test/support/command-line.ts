import { expect, vi } from 'vitest';
import { main } from '../../src/processes/cli/main.ts';

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The one JSON object of --json. */
  readonly json: () => Record<string, unknown>;
}

/** Runs a command line in this process, with an environment of its own; one at a time. */
export async function runCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ran> {
  const before = { ...process.env };
  const exitCodeBefore = process.exitCode;
  let stdout = '';
  let stderr = '';
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  for (const name of Object.keys(process.env)) if (name.startsWith('HONGBAO_')) delete process.env[name];
  Object.assign(process.env, env);
  process.exitCode = 0;
  try {
    await main(args);
    return { exitCode: Number(process.exitCode), stdout, stderr, json: () => jsonLine(stdout) };
  } finally {
    out.mockRestore();
    err.mockRestore();
    process.env = before;
    process.exitCode = exitCodeBefore;
  }
}

/** What `hongbao COMMAND --json` says over a data folder, when it ends as it should. */
export async function cliSays(
  command: string,
  dataFolder: string,
  exitCode = 0,
): Promise<Record<string, unknown>> {
  const ran = await runCommandLine([...command.split(' '), '--json'], { HONGBAO_DATA: dataFolder });
  expect(ran.exitCode, ran.stdout).toBe(exitCode);
  return ran.json();
}

function jsonLine(stdout: string): Record<string, unknown> {
  const lines = stdout.trimEnd().split('\n');
  if (lines.length !== 1) throw new Error(`not one line: ${stdout}`);
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}
