import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Cluster } from '../../tools/cluster/index.ts';
import { rowsOf } from './looks.ts';
import { aPhone } from './phone.ts';
import { onACluster, until } from './stage.ts';

onACluster('control dies', ({ fault }) => {
  fault('control’s process is killed: play goes on by its last announcement', async (round) => {
    const { cluster } = round;
    const [control] = cluster.of('control');
    await control!.kill();
    await round.untilMoreWon(60);
    await control!.restart();
    await control!.untilReady();
    // What it announces is heard again.
    await cluster.command('credit-rate', 'off');
  });

  fault('control’s process is gone while gateways and creditors start', async (round) => {
    const { cluster } = round;
    const [control] = cluster.of('control');
    await control!.kill();
    const others = [round.oneOf(cluster.of('gateway')), round.oneOf(cluster.of('creditor'))];
    await Promise.all(others.map((one) => one.kill()));
    await Promise.all(others.map((one) => one.restart()));
    // By the announcement on their own disks.
    await Promise.all(others.map((one) => one.untilReady()));
    await round.untilMoreWon(30);
    await control!.restart();
  });

  fault(
    'control is killed while slices wait for a backlog: a fence that stands stays',
    async (round) => {
      const { cluster } = round;
      const [control] = cluster.of('control');
      await cluster.command('credit-rate', '0');
      await until(
        async () => (await fencesOf(cluster)).size > 1,
        () => 'slices are fenced, and wait',
      );
      const before = await fencesOf(cluster);
      await control!.kill();
      await control!.restart();
      await until(
        async () => [...(await fencesOf(cluster)).keys()].some((slice) => !before.has(slice)),
        () => 'another slice is fenced: control has taken up all of them again',
      );
      const after = await fencesOf(cluster);
      const moved = [...before].filter(([slice, places]) => (after.get(slice) ?? places) !== places);
      expect(moved).toEqual([]);
      await cluster.command('credit-rate', 'off');
    },
    { thinkMs: 300 },
  );

  fault(
    'control’s database is gone: what was won can be seen and withdrawn, and leases go on by themselves',
    async (round) => {
      const { cluster } = round;
      const { control } = cluster.servers;
      const phone = aPhone(cluster, `phone-${round.seed}`);
      await phone.win(2);
      // Who somebody is, each process asks control's database once; whoever it has met, it knows.
      expect((await phone.wallet())?.status).toBe(200);
      await control.kill();
      // Longer than every slice in hand lasts.
      await delay(8_000 + 4_000 * round.random());
      const seen = await phone.wallet();
      expect(seen).toMatchObject({ status: 200, body: { balanceFen: phone.toldFen() } });
      await phone.withdrawAll();
      await control.restart();
      await phone.win(1);
    },
  );

  fault('control’s database is frozen, and wakes up', async (round) => {
    const { control } = round.cluster.servers;
    control.freeze();
    await delay(8_000 + 8_000 * round.random());
    control.thaw();
  });

  fault('all but Postgres is gone at once: the last stand', async (round) => {
    const { cluster } = round;
    const { redis, nats } = cluster.servers;
    const [control] = cluster.of('control');
    const nodes = [...redis.nodes, ...nats.nodes, control!, ...cluster.of('creditor')];
    await Promise.all(nodes.map((node) => node.kill()));
    await round.untilMoreWon(30);
    await Promise.all([...redis.nodes, ...nats.nodes].map((node) => node.restart()));
    await Promise.all([redis.untilWhole(), nats.untilLed()]);
    await Promise.all([control!, ...cluster.of('creditor')].map((node) => node.restart()));
  });
});

/** Where the fences of slices that wait for their close stand in the log, bucket by bucket; by slice. */
async function fencesOf({ servers }: Cluster): Promise<Map<string, string>> {
  const rows = await rowsOf<{ slice: string; places: string }>(
    servers.control,
    "SELECT slice_id::text AS slice, fenced_at::text AS places FROM allotment.slice WHERE state = 'fenced' AND fenced_at IS NOT NULL",
  );
  return new Map(rows.map(({ slice, places }) => [slice, places]));
}
