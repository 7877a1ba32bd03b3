import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type CsvRow, createCsvReader, csvRecord } from '../../rules/csv.ts';
import { ask, findTarget, NOT_RUNNING, type TargetOptions } from './engine-client.ts';
import { CliFailure, EXIT, type Output, print } from './output.ts';
import { type JobView, reportJob, reportJobs, reportWrong } from './reissue-report.ts';

export interface OperatorOptions extends TargetOptions, Output {
  /** File with an operator's key; without it this machine's own. */
  readonly keyFile?: string | undefined;
  /** Where operations listen; without it what the running engine left. */
  readonly opsUrl?: string | undefined;
}

const CHECK_EVERY_MS = 200;
const WRONG_SHOWN_MAX = 50;

/** Who asks: an operator by their key, or this machine's own user by what the running engine left for them. */
function operator(options: OperatorOptions): { base: string; bearer: string } {
  const { run } = findTarget(options);
  const base = options.opsUrl?.replace(/\/$/, '') ?? (run && `http://127.0.0.1:${run.opsPort}`);
  if (base === undefined)
    throw new CliFailure(
      EXIT.unreachable,
      `No engine runs on ${options.dataFolder}. Start one with \`npm start\`, name its folder with HONGBAO_DATA, or its operations port with --ops.`,
      { code: 'unreachable' },
    );
  const bearer = options.keyFile === undefined ? run?.operatorKey : read(options.keyFile).trim();
  if (!bearer)
    throw new CliFailure(
      EXIT.usage,
      'There is no operator key. Name the file that holds yours with --key-file, or ask the machine that runs control.',
      { code: 'usage' },
    );
  return { base, bearer };
}

const askJob = async (
  options: OperatorOptions,
  route: string,
  init: { method?: string; body?: unknown } = {},
): Promise<JobView> => {
  const { base, bearer } = operator(options);
  return (await ask(base, `/ops/v1/reissues${route}`, { bearer, ...init })) as unknown as JobView;
};

/** Brings a list, waits for its check, prints its totals. Nothing is given. */
export async function reissueBring(file: string, options: OperatorOptions): Promise<void> {
  const { base, bearer } = operator(options);
  if (!existsSync(file))
    throw new CliFailure(EXIT.usage, `${file} can't be read (ENOENT).`, { code: 'unreadable' });
  const response = await send(`${base}/ops/v1/reissues`, bearer, {
    method: 'POST',
    headers: { 'content-type': 'text/csv' },
    body: Readable.toWeb(createReadStream(file)) as ReadableStream,
    duplex: 'half',
  });
  let job = (await response.json()) as JobView;
  while (job.state === 'checking') {
    await delay(CHECK_EVERY_MS);
    job = await askJob(options, `/${job.id}`);
  }
  const wrong = (job.counts.wrong ?? 0) > 0 ? await wrongLines(job.id, base, bearer) : [];
  const isNew = response.status === 201;
  print(options, { ...job, isNew, wrong }, `${reportJob(job, isNew)}${reportWrong(job, wrong)}`);
  if (wrong.length > 0 || !job.suffices) process.exitCode = EXIT.refused;
}

async function wrongLines(
  id: number,
  base: string,
  bearer: string,
): Promise<{ line: number; reason: string }[]> {
  const response = await send(`${base}/ops/v1/reissues/${id}/result?only=wrong`, bearer);
  const rows = rowsOf(await response.text()).slice(1, 1 + WRONG_SHOWN_MAX);
  return rows.map(({ fields }) => ({ line: Number(fields[0]), reason: fields[5]! }));
}

/** With a file, what is approved is that file's content, and refused when the job's is another. */
export async function reissueApprove(
  id: number,
  file: string | undefined,
  options: OperatorOptions,
): Promise<void> {
  const contentHash =
    file === undefined ? (await askJob(options, `/${id}`)).contentHash : hashOf(readBytes(file));
  const job = await askJob(options, `/${id}/approve`, { method: 'POST', body: { contentHash } });
  print(options, job, reportJob(job));
}

export async function reissueAct(
  act: 'start' | 'pause' | 'cancel',
  id: number,
  options: OperatorOptions,
): Promise<void> {
  const job = await askJob(options, `/${id}/${act}`, { method: 'POST' });
  print(options, job, reportJob(job));
}

export async function reissueRate(id: number, perSecond: number, options: OperatorOptions): Promise<void> {
  const job = await askJob(options, `/${id}/rate`, { method: 'PUT', body: { perSecond } });
  print(options, job, `Job ${id}: at most ${job.perSecond} lines a second.`);
}

export async function reissueStatus(id: number | undefined, options: OperatorOptions): Promise<void> {
  if (id !== undefined) {
    const job = await askJob(options, `/${id}`);
    return print(options, job, reportJob(job));
  }
  const { base, bearer } = operator(options);
  const list = (await ask(base, '/ops/v1/reissues', { bearer })) as unknown as { jobs: JobView[] };
  print(options, list, reportJobs(list.jobs));
}

/**
 * The result file, line by line. With the list that was brought in, each line as it stood there, and what became of
 * it: the engine keeps nobody's name, so only who has the list can say who they are.
 */
export async function reissueResult(
  id: number,
  flags: { file?: string; out?: string },
  options: OperatorOptions,
): Promise<void> {
  const { base, bearer } = operator(options);
  const response = await send(`${base}/ops/v1/reissues/${id}/result`, bearer);
  const text = flags.file === undefined ? response.body! : joined(await response.text(), flags.file);
  if (flags.out === undefined && options.json) {
    const [header, ...lines] = rowsOf(typeof text === 'string' ? text : await new Response(text).text());
    print(options, { job: id, columns: header!.fields, lines: lines.map((row) => row.fields) }, '');
    return;
  }
  if (flags.out === undefined) {
    for await (const piece of piecesOf(text)) process.stdout.write(piece);
    return;
  }
  await pipeline(Readable.from(piecesOf(text)), createWriteStream(flags.out, { mode: 0o600 })).catch(
    (error: Error) => {
      throw new CliFailure(EXIT.usage, `${flags.out} can't be written (${error.message}).`, {
        code: 'unwritable',
      });
    },
  );
  print(options, { job: id, file: flags.out }, `What became of each line stands in ${flags.out}.`);
}

const piecesOf = (text: string | ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> | string[] =>
  typeof text === 'string' ? [text] : (text as unknown as AsyncIterable<Uint8Array>);

function joined(result: string, file: string): string {
  const [header, ...lines] = rowsOf(result);
  const [listHeader, ...list] = rowsOf(read(file));
  const byLine = new Map(list.map((row) => [String(row.line), row.fields]));
  const missing = lines.find((row) => !byLine.has(row.fields[0]!));
  if (missing || lines.length !== list.length || !listHeader)
    throw new CliFailure(
      EXIT.usage,
      `${file} is not the list of this job: it has other lines. Name the file that was brought in with -f.`,
      { code: 'usage' },
    );
  const width = listHeader.fields.length;
  const padded = (fields: readonly string[]) => Array.from({ length: width }, (_, at) => fields[at] ?? '');
  return [
    csvRecord([...header!.fields, ...listHeader.fields]),
    ...lines.map((row) => csvRecord([...row.fields, ...padded(byLine.get(row.fields[0]!)!)])),
  ].join('');
}

function rowsOf(text: string): { line: number; fields: readonly string[] }[] {
  const reader = createCsvReader();
  const rows: CsvRow[] = [...reader.push(text.replace(/^\uFEFF/, '')), ...reader.end()];
  return rows.map((row) => ('fields' in row ? row : { line: row.line, fields: [] }));
}

export async function operatorAdd(name: string, options: OperatorOptions): Promise<void> {
  const { base, bearer } = operator(options);
  const answer = await ask(base, '/ops/v1/operators', { bearer, body: { name } });
  print(options, { name, ...answer }, `Key of ${name}, shown this once:\n${answer.operatorKey}`);
}

export async function operatorList(options: OperatorOptions): Promise<void> {
  const { base, bearer } = operator(options);
  const answer = (await ask(base, '/ops/v1/operators', { bearer })) as unknown as {
    operators: { name: string; addedBy?: string }[];
  };
  const lines = answer.operators.map(({ name, addedBy }) => `${name}  added by ${addedBy ?? 'setup'}`);
  print(options, answer, ['local  this machine’s own user', ...lines].join('\n'));
}

/** A request whose body or answer is a stream. */
async function send(
  url: string,
  bearer: string,
  init: RequestInit & { duplex?: 'half'; headers?: Record<string, string> } = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${bearer}` } });
  } catch {
    throw new CliFailure(EXIT.unreachable, NOT_RUNNING(url), { code: 'unreachable' });
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  throw new CliFailure(
    EXIT.refused,
    `${problem.title ?? 'Refused'}: ${problem.detail ?? response.status} (${problem.titleZh ?? ''})`,
    { code: problem.code, status: response.status, retryable: problem.retryable },
  );
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const read = (file: string): string => readBytes(file).toString('utf8');

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CliFailure(EXIT.usage, `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`, {
      code: 'unreadable',
    });
  }
}
