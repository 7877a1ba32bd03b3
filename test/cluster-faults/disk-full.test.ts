import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe } from 'vitest';
import type { Servers } from '../../tools/cluster/index.ts';
import { startNatsCluster } from '../../tools/services/nats.ts';
import { type PostgresServer, startPostgres } from '../../tools/services/postgres.ts';
import { startRedisCluster } from '../../tools/services/redis.ts';
import { counted, onACluster, startForFaultsOn, UNLOGGED, until } from './stage.ts';

const SERVERS = 3;
const root = mkdtempSync(path.join(tmpdir(), 'hongbao-full-nats-'));
const disks = Array.from({ length: SERVERS }, (_, index) => path.join(root, String(index)));

/** Small disks, one a server; false where one may not mount. */
function mountDisks(): boolean {
  const mounted: string[] = [];
  try {
    for (const disk of disks) {
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', disk], { stdio: 'ignore' });
      mounted.push(disk);
    }
    return true;
  } catch {
    for (const disk of mounted) execFileSync('umount', [disk]);
    rmSync(root, { recursive: true, force: true });
    return false;
  }
}

const ballastOn = (disk: string): string => path.join(disk, 'ballast');

/** To the last page, while the server writes to it as well. */
function fill(disk: string): void {
  const page = Buffer.alloc(4_096);
  const ballast = openSync(ballastOn(disk), 'w');
  try {
    for (;;) writeSync(ballast, page);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(ballast);
  }
}

async function serversOnSmallDisks(): Promise<Servers> {
  const [redis, nats, ...postgres] = await Promise.all([
    startRedisCluster(),
    startNatsCluster({ folderOf: (index) => disks[index]! }),
    ...['shard-1', 'shard-2', 'control-database'].map((name) => startPostgres({ name })),
  ]);
  const [first, second, control] = postgres as [PostgresServer, PostgresServer, PostgresServer];
  return {
    redis,
    nats,
    shards: [first, second],
    control,
    stop: async () => {
      await Promise.all([redis.stop(), ...postgres.map((server) => server.discard())]);
      // Its folder is a mount, which can't be removed: stopped, and the disks given back.
      await Promise.all(nats.nodes.map((node) => node.kill()));
      for (const disk of disks) execFileSync('umount', ['-l', disk]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

const cluster = async () => startForFaultsOn(await serversOnSmallDisks());

if (!mountDisks())
  describe.skip('the disks under NATS are full (not run: only root may mount a small one)', () => {});
else
  onACluster(
    'the disks under NATS are full',
    ({ fault }) => {
      fault('one disk is full: the other two are a quorum', async (round) => {
        const disk = round.oneOf(disks);
        fill(disk);
        await round.untilMoreWon(30);
        rmSync(ballastOn(disk));
        await round.cluster.servers.nats.nodes[disks.indexOf(disk)]!.restart();
        await round.cluster.servers.nats.untilLed();
      });

      fault('all disks are full: orders go straight into the ledger until there is room', async (round) => {
        const { nats } = round.cluster.servers;
        const gateways = round.cluster.of('gateway');
        const before = await counted(gateways, UNLOGGED);
        for (const disk of disks) fill(disk);
        await until(
          async () => (await counted(gateways, UNLOGGED)) > before + 10,
          () => 'gateways credit by themselves',
        );
        await round.untilMoreWon(30);
        for (const disk of disks) rmSync(ballastOn(disk));
        // A server that met a full disk takes nothing until it is started again (docs/runbooks).
        await Promise.all(nats.nodes.map((node) => node.restart()));
        await nats.untilLed();
      });
    },
    cluster,
  );
