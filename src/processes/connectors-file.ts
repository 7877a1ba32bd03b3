import { readFileSync } from 'node:fs';
import type { CampaignProblem } from '../campaign/problems.ts';
import { reportProblems } from '../campaign/report.ts';
import { readConnectors } from '../engines/connector-http/read.ts';
import type { ConnectorDraft } from '../engines/connector-http/schema.ts';

/** The connectors of a file, or what is wrong with it: the mistakes, and a report of them for people. */
export type ConnectorsRead =
  | { readonly entries: readonly ConnectorDraft[] }
  | { readonly problems: readonly CampaignProblem[]; readonly report: string };

/** Reads what HONGBAO_CONNECTORS names; secrets are looked for in `env`. */
export function readConnectorsFile(file: string, env: NodeJS.ProcessEnv): ConnectorsRead {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    return {
      problems: [],
      report: `HONGBAO_CONNECTORS: ${file} can't be read (${reason}). Give a path that this user may read.`,
    };
  }
  const read = readConnectors(text, env);
  return 'draft' in read
    ? { entries: read.draft.connectors }
    : { problems: read.problems, report: reportProblems(file, text, read.problems).trimEnd() };
}
