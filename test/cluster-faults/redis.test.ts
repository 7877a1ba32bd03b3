import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { aPhone } from './phone.ts';
import { counted, onACluster, type Round, until } from './stage.ts';

/** Whoever is primary of a bucket that nobody has planned. */
const aPrimary = ({ cluster, random }: Round) =>
  cluster.servers.redis.primaryOf(`{hongbao.b${Math.floor(8 * random())}}`);

onACluster('the book’s servers die', ({ fault }) => {
  fault('a Redis primary is killed: a replica takes over, and nobody loses anything', async (round) => {
    const primary = await aPrimary(round);
    await primary.kill();
    await round.untilMoreWon(20);
    await primary.restart();
    await round.cluster.servers.redis.untilWhole();
  });

  fault('a Redis primary is frozen until it is no primary any more, and wakes up', async (round) => {
    const { redis } = round.cluster.servers;
    const primary = await aPrimary(round);
    primary.freeze();
    await round.untilMoreWon(20);
    const witness = redis.nodes.find((node) => node !== primary)!;
    await until(
      async () => {
        const nodes = String(await witness.call('CLUSTER', 'NODES'));
        return nodes.split('\n').some((line) => line.includes(`:${primary.port}@`) && line.includes('fail'));
      },
      () => 'the others have noticed',
    );
    await delay(2_000 * round.random());
    primary.thaw();
    await redis.untilWhole();
  });

  fault(
    'all Redis is gone and comes back: wallets say what they don’t know, and the book is filled again',
    async (round) => {
      const { cluster } = round;
      const { redis } = cluster.servers;
      const creditors = cluster.of('creditor');
      const refilled = 'hongbao_swept_orders_total{what="refilled"}';
      // What is not credited yet is known to the book alone.
      await cluster.command('credit-rate', '0');
      const phone = aPhone(cluster, `phone-${round.seed}`);
      await phone.win(3);
      const before = await counted(creditors, refilled);
      await Promise.all(redis.nodes.map((node) => node.kill()));

      const isIncomplete = async () => (await phone.wallet())?.body.complete === false;
      await until(isIncomplete, () => 'the wallet says that it is not complete');
      await phone.win(2);
      const shown = await phone.wallet(true);
      expect(shown).toMatchObject({
        status: 200,
        body: { complete: false, balanceFen: phone.toldFen(), refusedTokens: [] },
      });
      await round.untilMoreWon(20);

      // With an odd seed the servers have lost their disks as well.
      if (round.seed % 2 === 1) for (const node of redis.nodes) forgetData(node.folder);
      await Promise.all(redis.nodes.map((node) => node.restart()));
      await redis.untilWhole();
      await until(
        async () => (await phone.wallet())?.body.complete === true,
        () => 'the wallet is complete again',
      );
      await until(
        async () => (await phone.wallet())?.body.balanceFen === phone.toldFen(),
        () => 'the book has been filled again',
      );
      expect(await counted(creditors, refilled)).toBeGreaterThan(before);
      await cluster.command('credit-rate', 'off');
    },
  );

  // These come last: an order may be sealed twice from here on.
  fault(
    'the book is switched off, who kept something from it is killed, and it is switched on: it is filled first',
    async ({ cluster, untilMoreWon }) => {
      const refilled = 'hongbao_swept_orders_total{what="refilled"}';
      const before = await counted(cluster.of('creditor'), refilled);
      await cluster.command('switch', 'book', 'off');
      await untilMoreWon(20);
      const [gateway] = cluster.of('gateway');
      await gateway!.kill();
      await gateway!.restart();
      await gateway!.untilReady();
      await untilMoreWon(10);
      await cluster.command('switch', 'book', 'on');
      await until(
        async () => (await counted(cluster.of('creditor'), refilled)) > before,
        () => 'the book has been filled again',
      );
      await untilMoreWon(10);
    },
    { peopleMoveOn: true, mayReseal: true },
  );

  fault(
    'all Redis is gone, and one gateway after the other: people move on, and nobody is told of what never comes',
    async ({ cluster, untilMoreWon }) => {
      const { redis } = cluster.servers;
      await Promise.all(redis.nodes.map((node) => node.kill()));
      for (const gateway of [...cluster.of('gateway'), ...cluster.of('gateway')]) {
        await untilMoreWon(10);
        await gateway.kill();
        await untilMoreWon(10);
        await gateway.restart();
        await gateway.untilReady();
      }
      await Promise.all(redis.nodes.map((node) => node.restart()));
      await redis.untilWhole();
    },
    { peopleMoveOn: true, mayReseal: true },
  );
});

/** The data, and not who is who in the cluster. */
function forgetData(folder: string): void {
  for (const name of ['appendonlydir', 'dump.rdb'])
    rmSync(path.join(folder, name), { recursive: true, force: true });
}
