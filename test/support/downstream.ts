import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { sandboxEntry } from '../../src/engines/embedded/award-sandbox/entry.ts';
import { startAwardSandbox } from '../../src/engines/embedded/award-sandbox/index.ts';
import { systemClock } from '../../src/processes/clock.ts';
import { quiet } from './postgres.ts';

/** No question takes longer, so that what is never answered is asked about soon. */
const TIMEOUT_MS = 500;

export interface MoodyDownstream {
  readonly url: string;
  /** For HONGBAO_CONNECTORS. */
  readonly connectorsFile: string;
  stop(): Promise<void>;
}

/**
 * A downstream in this process, which outlives every kill of an engine's. Its record lies where the engine's own
 * sandbox would leave it, so that the auditor finds it.
 */
export async function startMoodyDownstream(
  dataFolder: string,
  connectors: readonly string[],
): Promise<MoodyDownstream> {
  const folder = path.join(dataFolder, 'award-sandbox');
  const sandbox = await startAwardSandbox({ port: 0, folder, clock: systemClock, logger: quiet });
  const connectorsFile = path.join(folder, 'connectors.yaml');
  const entries = connectors.map((name) => ({ ...sandboxEntry(name, sandbox.url), timeoutMs: TIMEOUT_MS }));
  writeFileSync(connectorsFile, JSON.stringify({ connectors: entries }));
  return { url: sandbox.url, connectorsFile, stop: sandbox.stop };
}
