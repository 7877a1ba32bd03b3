import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { onACluster, startForFaults } from './stage.ts';

/** Debian: apt-get install faketime. */
function findFakeTime(): string | undefined {
  if (!existsSync('/usr/lib')) return undefined;
  return readdirSync('/usr/lib')
    .map((folder) => path.join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}

const library = findFakeTime();
const folder = mkdtempSync(path.join(tmpdir(), 'hongbao-clocks-'));
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

const HOUR_S = 3_600;

/** How far its wall clock is from ours, by the Date header, in hours. */
async function hoursOff({ url }: { readonly url: string }): Promise<number> {
  const { headers } = await fetch(`${url}/livez`);
  const hours = (Date.parse(headers.get('date') ?? '') - Date.now()) / (HOUR_S * 1_000);
  // No minus zero.
  return Math.round(hours) || 0;
}

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
          expect(await hoursOff(gateway)).toBe(seconds / HOUR_S);
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
          for (const one of started) expect(await hoursOff(one)).toBe(seconds / HOUR_S);
          await round.untilMoreWon(40);
          for (const one of started) step(one.name, 0);
        });
      }

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
    () => startForFaults({ envOf: clockOf }),
  );
