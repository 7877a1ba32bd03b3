/** Exit codes of the command line: 0 done, 1 refused or found something, 2 used wrongly, 3 no engine to talk to. */
export const EXIT = { ok: 0, refused: 1, usage: 2, unreachable: 3 } as const;

/** Ends the command with a message for people (or one JSON object) and its exit code. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  constructor(
    readonly exitCode: number,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

export interface Output {
  readonly json: boolean;
}

/** One JSON object on a line with --json, else the text. */
export function print(output: Output, value: object, text: string): void {
  process.stdout.write(output.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
}

export function printFailure(output: Output, failure: CliFailure): void {
  if (output.json)
    process.stdout.write(`${JSON.stringify({ error: failure.message, ...failure.details })}\n`);
  else process.stderr.write(`${failure.message}\n`);
}
