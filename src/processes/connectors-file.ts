import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { CampaignProblem } from '../campaign/problems.ts';
import { reportProblems } from '../campaign/report.ts';
import { readConnectors } from '../engines/connector-http/read.ts';
import type { ConnectorDraft } from '../engines/connector-http/schema.ts';

/** The connectors of a file, or what is wrong with it: the mistakes, and a report of them for people. */
export type ConnectorsRead = { readonly version: string } & (
  | { readonly entries: readonly ConnectorDraft[] }
  | { readonly problems: readonly CampaignProblem[]; readonly report: string }
);

const VERSION_DIGITS = 12;

/**
 * Reads what HONGBAO_CONNECTORS names; secrets are looked for in `env`. Its version is the beginning of its SHA-256: the
 * same in every process that has the same file, and empty when there is none to read.
 */
export function readConnectorsFile(file: string, env: NodeJS.ProcessEnv): ConnectorsRead {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    return {
      version: '',
      problems: [],
      report: `HONGBAO_CONNECTORS: ${file} can't be read (${reason}). Give a path that this user may read.`,
    };
  }
  const version = createHash('sha256').update(text).digest('hex').slice(0, VERSION_DIGITS);
  const read = readConnectors(text, env);
  return 'draft' in read
    ? { version, entries: read.draft.connectors }
    : { version, problems: read.problems, report: reportProblems(file, text, read.problems).trimEnd() };
}
