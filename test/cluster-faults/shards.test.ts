import { expect } from 'vitest';
import { rowsOf, uncredited } from './looks.ts';
import { aPhone, type Phone } from './phone.ts';
import { onACluster, type Round, until } from './stage.ts';

/** Two people of each shard, with something in the wallet. */
async function peopleOfEach({ cluster, seed }: Round): Promise<{ shard: number; phone: Phone }[]> {
  const people: { shard: number; phone: Phone }[] = [];
  for (
    let number = 0;
    [0, 1].some((shard) => people.filter((one) => one.shard === shard).length < 2);
    number += 1
  ) {
    const phone = aPhone(cluster, `phone-${seed}-${number}`, number);
    await phone.win(1);
    const shard = await shardOf(cluster.servers.shards, phone.actId());
    if (people.filter((one) => one.shard === shard).length < 2) people.push({ shard, phone });
  }
  return people;
}

async function shardOf(shards: readonly { readonly url: string }[], actId: bigint): Promise<number> {
  let at = -1;
  await until(
    async () => {
      const found = await Promise.all(
        shards.map((shard) =>
          rowsOf(shard, 'SELECT 1 FROM ledger.account WHERE act_id = $1', [String(actId)]),
        ),
      );
      at = found.findIndex((rows) => rows.length > 0);
      return at >= 0;
    },
    () => 'somebody’s packet is credited',
  );
  return at;
}

onACluster('a shard of the ledger dies', ({ fault }) => {
  fault('a shard is restarted while people play', async (round) => {
    const shard = round.oneOf(round.cluster.servers.shards);
    await shard.restart();
    await round.untilAnyMoment();
    await shard.kill();
    await round.untilAnyMoment();
    await shard.restart();
  });

  fault(
    'a shard is gone for long: its people wait and are told so, all others are credited and withdraw',
    async (round) => {
      const { shards } = round.cluster.servers;
      const people = await peopleOfEach(round);
      const dead = round.oneOf([0, 1]);
      await shards[dead]!.stop();

      const theirs = people.filter((one) => one.shard === dead);
      const others = people.filter((one) => one.shard !== dead);
      for (const { phone } of theirs)
        await until(
          async () => (await phone.wallet())?.body.code === 'ledger-unavailable',
          () => 'the wallet says that it can’t know',
        );
      for (const { phone } of others) {
        // Credited, not only promised: in the shard's own rows.
        await phone.win(1);
        await until(
          async () => (await phone.wallet())?.body.outstandingFen === 0,
          () => 'it is credited',
        );
        expect(await phone.wallet()).toMatchObject({
          status: 200,
          body: { balanceFen: phone.toldFen(), complete: true },
        });
        await phone.withdrawAll();
      }
      // Those whose shard is gone still win: it is promised by the log.
      for (const { phone } of theirs) await phone.win(1);
      await round.untilMoreWon(20);
      await shards[dead]!.restart();
      const won = round.wonOrders();
      await until(
        async () => (await uncredited(round.cluster, won)) === 0,
        () => 'what had waited is credited',
      );
      for (const { phone } of theirs)
        await until(
          async () => (await phone.wallet())?.body.balanceFen === phone.toldFen(),
          () => 'the wallet is back',
        );
    },
  );

  fault('a shard is frozen, and wakes up', async (round) => {
    const shard = round.oneOf(round.cluster.servers.shards);
    shard.freeze();
    await round.untilMoreWon(20);
    shard.thaw();
  });

  fault('all shards are gone at once, and come back', async (round) => {
    const { shards } = round.cluster.servers;
    await Promise.all(shards.map((shard) => shard.kill()));
    // The log promises; whoever looks is told that the ledger is away.
    await round.untilMoreWon(20);
    await Promise.all(shards.map((shard) => shard.restart()));
  });
});
