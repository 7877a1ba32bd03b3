import { accessSync, constants, existsSync, mkdirSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { findBinaries } from '../../engines/embedded/postgres/binaries.ts';
import { chooseRunAs } from '../../engines/embedded/postgres/run-as.ts';
import { createLogger } from '../../telemetry/logger.ts';
import type { Config } from '../config.ts';
import { readConnectorsFile } from '../connectors-file.ts';
import { readRunFile } from '../run-file.ts';
import { EXIT, type Output, print } from './output.ts';

interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
}

const FREE_BYTES_MIN = 1 << 30;
const SANE_SINCE_MS = Date.UTC(2026, 0, 1);

/** Looks at everything that a start needs; each line says what to do when it is not right. */
export async function doctor(config: Config, nowMs: number, output: Output): Promise<void> {
  const running = readRunFile(config.dataFolder);
  const checks: Check[] = [
    nodeVersion(),
    postgres(config),
    dataFolder(config),
    freeSpace(config),
    nowMs > SANE_SINCE_MS
      ? ok('clock', new Date(nowMs).toISOString())
      : fail('clock', `it says ${new Date(nowMs).toISOString()}; phases go by it, so set it`),
    connectors(config),
    config.sessionKeys.length > 0
      ? ok('session keys', `${config.sessionKeys.length} apps`)
      : {
          name: 'session keys',
          state: 'warn',
          detail:
            'none: only demo sessions (hongbao dev) will work. Set HONGBAO_SESSION_KEYS_FILE for hongbao serve',
        },
    ...(running
      ? [ok('port', `an engine of this folder (process ${running.pid}) runs on ${running.port}`)]
      : [
          await port('port', config.port, config.host),
          await port('operations', config.opsPort, '127.0.0.1'),
        ]),
  ];
  const failed = checks.filter((check) => check.state === 'fail').length;
  print(
    output,
    { ok: failed === 0, checks },
    checks.map((check) => `${check.state.padEnd(5)} ${check.name.padEnd(14)} ${check.detail}`).join('\n'),
  );
  if (failed > 0) process.exitCode = EXIT.refused;
}

const ok = (name: string, detail: string): Check => ({ name, state: 'ok', detail });
const fail = (name: string, detail: string): Check => ({ name, state: 'fail', detail });

function nodeVersion(): Check {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const fine = major > 20 || (major === 20 && minor >= 19);
  return fine
    ? ok('node', process.version)
    : fail('node', `${process.version} is too old; install 20.19 or newer`);
}

function postgres(config: Config): Check {
  if (config.ledgerUrls.length > 0) return ok('postgres', 'HONGBAO_LEDGER names one');
  try {
    return ok('postgres', `${findBinaries(chooseRunAs(), createLogger('silent')).version}, embedded`);
  } catch (error) {
    return fail('postgres', (error as Error).message);
  }
}

function connectors(config: Config): Check {
  if (config.connectors === 'sandbox') return ok('connectors', 'a sandbox of them all, embedded');
  if (config.connectors === 'none')
    return {
      name: 'connectors',
      state: 'warn',
      detail: 'none: pieces wait until HONGBAO_CONNECTORS names who hands them out',
    };
  const read = readConnectorsFile(config.connectors.file, process.env);
  return 'entries' in read
    ? ok('connectors', `${read.entries.map(({ name }) => name).join(', ')} (version ${read.version})`)
    : fail('connectors', read.report.trim());
}

function dataFolder(config: Config): Check {
  try {
    mkdirSync(config.dataFolder, { recursive: true });
    accessSync(config.dataFolder, constants.W_OK);
    return ok(
      'data folder',
      `${config.dataFolder}${existsSync(path.join(config.dataFolder, 'journal')) ? '' : ' (new)'}`,
    );
  } catch (error) {
    return fail(
      'data folder',
      `${config.dataFolder} can't be written (${(error as NodeJS.ErrnoException).code}); choose another with HONGBAO_DATA`,
    );
  }
}

function freeSpace(config: Config): Check {
  try {
    const { bavail, bsize } = statfsSync(config.dataFolder);
    const free = bavail * bsize;
    const detail = `${Math.floor(free / 2 ** 30)} GiB free`;
    return free >= FREE_BYTES_MIN
      ? ok('disk', detail)
      : { name: 'disk', state: 'warn', detail: `${detail}; packets are refused when it is full` };
  } catch {
    return { name: 'disk', state: 'warn', detail: 'free space could not be read' };
  }
}

function port(name: string, number: number, host: string): Promise<Check> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve({
        name,
        state: 'warn',
        detail: `${number} on ${host}: ${error.code}; hongbao dev steps to the next, or set HONGBAO_PORT`,
      }),
    );
    probe.listen(number, host, () => probe.close(() => resolve(ok(name, `${number} is free`))));
  });
}
