import { createHash } from 'node:crypto';
import type { CampaignSnapshot } from '../../campaign/snapshot.ts';
import type { ReissueJob, ReissueLineIn, Reissues } from '../../engines/ports.ts';
import { isUserName } from '../../guard/sessions.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import { type CsvRow, createCsvReader } from '../../rules/csv.ts';
import {
  type ReissueContext,
  type ReissueHeader,
  readReissueHeader,
  readReissueLine,
} from '../../rules/reissue-line.ts';
import type { AppId } from '../../vocabulary/ids.ts';
import type { Clock } from '../../vocabulary/instant.ts';

export interface ImportDeps {
  readonly reissues: Pick<Reissues, 'keep'>;
  readonly campaigns: () => ReadonlyMap<string, CampaignSnapshot>;
  /** A person as a keyed hash: names go no further than this room. */
  readonly userKeyOf: (appId: AppId, user: string) => Uint8Array;
  readonly clock: Clock;
  readonly linesMax?: number;
}

/** Lines of a file, its header not counted. */
const REISSUE_LINES_MAX = 200_000;
const BYTES_MAX = 64 << 20;
const BATCH_LINES = 1_000;
const PER_SECOND = 100;

/** The file can't be read at all; nothing of it is kept. */
class Unreadable extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.detail);
  }
}

/** Reads a list as it streams in and keeps it as a job that is to be checked; or says why nothing of it was kept. */
export async function importReissue(
  deps: ImportDeps,
  body: AsyncIterable<Uint8Array>,
  madeBy: string,
): Promise<{ readonly job: ReissueJob; readonly isNew: boolean } | Refusal> {
  const madeAtMs = deps.clock.now();
  const campaigns = deps.campaigns();
  const context: ReissueContext = {
    campaign: (id) => campaigns.get(id),
    campaignIds: [...campaigns.keys()],
    madeAtMs,
    isUserName,
  };
  const hash = createHash('sha256');
  let digest: Buffer | undefined;
  try {
    return await deps.reissues.keep(
      { madeBy, madeAtMs, perSecond: PER_SECOND },
      batches(deps, context, hashed(body, hash)),
      () => {
        digest ??= hash.digest();
        return digest;
      },
    );
  } catch (error) {
    if (error instanceof Unreadable) return error.refusal;
    throw error;
  }
}

async function* hashed(
  body: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX)
      throw new Unreadable(refuse('too-large', `a list has at most ${BYTES_MAX >> 20} MiB; split it`));
    hash.update(chunk);
    yield chunk;
  }
}

async function* batches(
  deps: ImportDeps,
  context: ReissueContext,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<ReissueLineIn[]> {
  const linesMax = deps.linesMax ?? REISSUE_LINES_MAX;
  let header: ReissueHeader | undefined;
  let count = 0;
  let batch: ReissueLineIn[] = [];
  for await (const row of rowsOf(body)) {
    if (!header) {
      header = headerOf(row);
      continue;
    }
    count += 1;
    if (count > linesMax)
      throw new Unreadable(refuse('too-large', `a list has at most ${linesMax} lines; split it`));
    batch.push(lineOf(deps, header, row, context));
    if (batch.length >= BATCH_LINES) {
      yield batch;
      batch = [];
    }
  }
  if (count === 0) throw new Unreadable(refuse('malformed', 'the list has no lines below its header'));
  if (batch.length > 0) yield batch;
}

async function* rowsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<CsvRow> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const reader = createCsvReader();
  const decode = (chunk?: Uint8Array): string => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw new Unreadable(refuse('malformed', 'the list is not UTF-8; save it as "CSV UTF-8"'));
    }
  };
  for await (const chunk of body) yield* reader.push(decode(chunk));
  yield* reader.push(decode());
  yield* reader.end();
}

function headerOf(row: CsvRow): ReissueHeader {
  const header = 'wrong' in row ? row : readReissueHeader(row.fields);
  if ('wrong' in header) throw new Unreadable(refuse('malformed', `line ${row.line}: ${header.wrong}`));
  return header;
}

function lineOf(
  deps: ImportDeps,
  header: ReissueHeader,
  row: CsvRow,
  context: ReissueContext,
): ReissueLineIn {
  const read = 'wrong' in row ? row : readReissueLine(header, row.fields, context);
  if ('wrong' in read) return { line: row.line, wrong: read.wrong };
  const { user, ...ask } = read;
  return { line: row.line, ...ask, userKey: deps.userKeyOf(read.appId, user) };
}
