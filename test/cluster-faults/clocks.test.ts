import { chmodSync, existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe } from 'vitest';
import { type Cluster, startServers } from '../../tools/cluster/index.ts';
import { onACluster, startForFaultsOn, until } from './stage.ts';

/** Debian: apt-get install faketime. */
function findFakeTime(): string | undefined {
  if (!existsSync('/usr/lib')) return undefined;
  return readdirSync('/usr/lib')
    .map((folder) => path.join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}

const library = findFakeTime();
const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-clocks-'));
// Postgres runs as somebody else.
chmodSync(folder, 0o755);
const fileOf = (name: string): string => path.join(folder, name);
/** Seconds that this process's wall clock is off from now on; its monotonic clock runs on, as a real one does. */
const step = (name: string, seconds: number): void =>
  writeFileSync(fileOf(name), `${seconds < 0 ? '' : '+'}${seconds}\n`);

const clockOf = (name: string): Record<string, string> => {
  step(name, 0);
  return {
    LD_PRELOAD: library ?? '',
    FAKETIME_TIMESTAMP_FILE: fileOf(name),
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    FAKETIME_NO_CACHE: '1',
  };
};

/** Processes and databases whose clocks can be stepped, each by its name. */
const startWithClocks = async (): Promise<Cluster> =>
  startForFaultsOn(await startServers(clockOf), { envOf: clockOf });

const HOUR_S = 3_600;

/** Resolves when its wall clock is that far from ours, by the Date header; a server renews that once a second. */
const untilOff = (process: { readonly url: string }, seconds: number): Promise<void> =>
  until(
    async () => {
      const { headers } = await fetch(`${process.url}/livez`);
      const offMs = Date.parse(headers.get('date') ?? '') - Date.now();
      return Math.abs(offMs - seconds * 1_000) < 60_000;
    },
    () => `its clock is ${seconds} s off`,
  );

if (library === undefined)
  describe.skip('clocks step (not run: libfaketime is missing; install the package faketime)', () => {});
else
  onACluster(
    'clocks step',
    ({ fault }) => {
      for (const [way, seconds] of [
        ['forward', HOUR_S],
        ['back', -HOUR_S],
      ] as const) {
        fault(`a gateway’s clock steps an hour ${way} while it deals`, async (round) => {
          const gateway = round.oneOf(round.cluster.of('gateway'));
          step(gateway.name, seconds);
          await round.untilMoreWon(40);
          await untilOff(gateway, seconds);
          step(gateway.name, 0);
        });

        fault(`a gateway and a creditor start with a clock that is an hour off, ${way}`, async (round) => {
          const started = [
            round.oneOf(round.cluster.of('gateway')),
            round.oneOf(round.cluster.of('creditor')),
          ];
          for (const one of started) step(one.name, seconds);
          await Promise.all(started.map((one) => one.kill()));
          await Promise.all(started.map((one) => one.restart()));
          await Promise.all(started.map((one) => one.untilReady()));
          for (const one of started) await untilOff(one, seconds);
          await round.untilMoreWon(40);
          for (const one of started) step(one.name, 0);
        });
      }

      for (const minutes of [20, -20])
        fault(
          `the clock that all follow, of control’s database, is ${minutes} minutes off for a while`,
          async (round) => {
            step('control-database', minutes * 60);
            // Sessions last an hour, tickets seconds: people go on, with what the new time deals.
            await delay(6_000 + 6_000 * round.random());
            await round.untilMoreWon(20);
            step('control-database', 0);
            await delay(6_000 * round.random());
          },
        );

      fault('the clocks of the shards step to and fro', async (round) => {
        for (let times = 0; times < 4; times += 1) {
          for (const shard of ['shard-1', 'shard-2']) step(shard, round.oneOf([-HOUR_S, 0, HOUR_S]));
          await round.untilMoreWon(10);
        }
        for (const shard of ['shard-1', 'shard-2']) step(shard, 0);
      });

      fault('the clocks of wallet, control and a creditor step to and fro', async (round) => {
        const { cluster } = round;
        const stepping = [
          ...cluster.of('wallet'),
          ...cluster.of('control'),
          round.oneOf(cluster.of('creditor')),
        ];
        for (let times = 0; times < 4; times += 1) {
          for (const one of stepping) step(one.name, round.oneOf([-HOUR_S, 0, HOUR_S]));
          await round.untilMoreWon(10);
        }
        for (const one of stepping) step(one.name, 0);
      });
    },
    startWithClocks,
  );
