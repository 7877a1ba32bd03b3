import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Cluster, RoleProcess } from '../../tools/cluster/index.ts';
import { rowsOf, uncredited } from './looks.ts';
import { onACluster, until } from './stage.ts';

/** Slices that this process leased and that are not closed. */
async function unclosedOf({ servers }: Cluster, holder: string): Promise<number> {
  const sql = "SELECT count(*)::int AS n FROM allotment.slice WHERE state <> 'closed' AND holder = $1";
  return (await rowsOf<{ n: number }>(servers.control, sql, [holder]))[0]!.n;
}

const holderOf = ({ pid, dataFolder }: RoleProcess): string => `${pid}@${dataFolder}`;

onACluster('processes of the engine die', ({ fault }) => {
  fault(
    'a creditor is killed in mid-batch: the other one takes its buckets, and credits what it left',
    async (round) => {
      const { cluster } = round;
      const victim = round.oneOf(cluster.of('creditor'));
      // Slow enough that there always is a batch under way.
      await cluster.command('credit-rate', '40');
      await round.untilMoreWon(40);
      await victim.kill();
      await round.untilMoreWon(10);
      await cluster.command('credit-rate', 'off');
      // All buckets, though the other one stays dead.
      const won = round.wonOrders();
      await until(
        async () => (await uncredited(cluster, won)) === 0,
        () => 'the other creditor has credited everything',
      );
      await victim.restart();
    },
  );

  fault('both creditors are killed, and play goes on without them', async (round) => {
    const creditors = round.cluster.of('creditor');
    await Promise.all(creditors.map((one) => one.kill()));
    await round.untilMoreWon(40);
    await Promise.all(creditors.map((one) => one.restart()));
  });

  fault(
    'a gateway is killed with slices in hand: they come back to the budget while it is dead',
    async (round) => {
      const { cluster } = round;
      const victim = round.oneOf(cluster.of('gateway'));
      const holder = holderOf(victim);
      await until(
        async () => (await unclosedOf(cluster, holder)) > 0,
        () => 'it holds slices',
      );
      await victim.kill();
      await until(
        async () => (await unclosedOf(cluster, holder)) === 0,
        () => 'its slices are back in the budget',
      );
      // Whoever waits for an answer from it gets one from it, by its journal and the log.
      await victim.restart();
    },
  );

  fault(
    'a gateway is killed, and its people go to the other one with what they have in hand',
    async (round) => {
      const victim = round.oneOf(round.cluster.of('gateway'));
      await victim.kill();
      await round.untilMoreWon(30);
      await victim.restart();
    },
    { peopleMoveOn: true },
  );

  fault(
    'a gateway is frozen past its leases, and wakes up: it tells nobody “won” for what is void',
    async (round) => {
      const { cluster } = round;
      const victim = round.oneOf(cluster.of('gateway'));
      const holder = holderOf(victim);
      victim.freeze();
      await until(
        async () => (await unclosedOf(cluster, holder)) === 0,
        () => 'its slices were closed while it slept',
      );
      await delay(1_000 * round.random());
      victim.thaw();
      await victim.untilReady();
    },
  );

  fault('the wallet is killed in the middle of withdrawals', async (round) => {
    const [wallet] = round.cluster.of('wallet');
    await wallet!.kill();
    await round.untilMoreWon(20);
    await wallet!.restart();
    const { withdrawn } = round.counts();
    await until(
      async () => round.counts().withdrawn > withdrawn + 3,
      () => 'people withdraw again',
    );
  });

  fault('every process of the engine is killed at one moment', async (round) => {
    const { processes } = round.cluster;
    await Promise.all(processes.map((one) => one.kill()));
    await Promise.all(processes.map((one) => one.restart()));
    expect(processes.every((one) => one.isRunning)).toBe(true);
  });
});
