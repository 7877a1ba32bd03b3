import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { ConnectorDraft } from '../engines/connector-http/schema.ts';
import { createPauses } from '../guard/pauses.ts';
import { readConnectorsFile } from './connectors-file.ts';

export interface ConnectorsInForce {
  /** The connector of this name; the same object for as long as nothing of it has changed. */
  entry(name: string): ConnectorDraft | undefined;
  status(): ConnectorsStatus;
  /** Looks at the file every few seconds from now on. */
  start(): void;
  stop(): Promise<void>;
  /** One look. Runs by itself; exported for tests. */
  look(): void;
}

export interface ConnectorsStatus {
  /** Of the file that is in force. */
  readonly version: string;
  /** Why the file, as it is now, is not the one in force. */
  readonly refused?: { readonly version: string; readonly report: string };
}

export interface ConnectorsInForceOptions {
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly lookEveryMs?: number;
}

const LOOK_EVERY_MS = 2_000;

/**
 * The connectors file, followed while the process runs. What it holds is compared, not its time: files that a cluster
 * mounts are exchanged under a link, and editors keep times. A file that does not hold up is refused as a whole, said
 * once with its report, and what was in force stays so. Throws when the first look finds one: nothing is in force yet.
 */
export function followConnectors(options: ConnectorsInForceOptions): ConnectorsInForce {
  const { file, env, logger } = options;
  const pauses = createPauses();
  let entries = new Map<string, ConnectorDraft>();
  let status: ConnectorsStatus;
  let running: Promise<void> = Promise.resolve();

  function put(version: string, next: readonly ConnectorDraft[]): readonly string[] {
    const known = entries;
    entries = new Map(
      next.map((entry) => {
        const before = known.get(entry.name);
        return [entry.name, before && isDeepStrictEqual(before, entry) ? before : entry];
      }),
    );
    status = { version };
    const names = new Set([...known.keys(), ...entries.keys()]);
    return [...names].filter((name) => known.get(name) !== entries.get(name));
  }

  function look(): void {
    const read = readConnectorsFile(file, env);
    if (read.version === (status.refused ?? status).version) return;
    if ('report' in read) {
      status = { version: status.version, refused: { version: read.version, report: read.report } };
      logger.error(
        { inForce: status.version, refused: read.version, report: read.report },
        'the connectors file is refused; the one before stays in force',
      );
      return;
    }
    const changed = put(read.version, read.entries);
    logger.warn({ version: read.version, changed }, 'another connectors file is in force');
  }

  async function run(): Promise<void> {
    while (!pauses.stopped) {
      await pauses.pause(options.lookEveryMs ?? LOOK_EVERY_MS);
      if (!pauses.stopped) look();
    }
  }

  const first = readConnectorsFile(file, env);
  if ('report' in first) throw new Error(first.report);
  status = { version: first.version };
  put(first.version, first.entries);
  return {
    entry: (name) => entries.get(name),
    status: () => status,
    start() {
      running = run();
    },
    async stop() {
      pauses.stop();
      await running;
    },
    look,
  };
}
