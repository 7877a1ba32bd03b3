import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { aPhone, type Phone } from './phone.ts';
import { onACluster, type Round, until } from './stage.ts';

const PEOPLE = 6;
const PACKETS_EACH = 4;

interface Look {
  readonly toldFen: number;
  readonly balanceFen: number;
  readonly outstandingFen: number;
  readonly recordsFen: number;
}

/** Looks at a person's wallet without pause until told to stop. */
function reader(phone: Phone, withdrawnFen: () => number) {
  const wrong: Look[] = [];
  let looks = 0;
  let sawOutstanding = 0;
  let stopped = false;
  const reading = (async () => {
    while (!stopped) {
      const toldFen = phone.toldFen() - withdrawnFen();
      const answer = await phone.wallet();
      // Too fast for one person's allowance, or a fault: no look.
      if (answer?.status !== 200) {
        await delay(50);
        continue;
      }
      const { balanceFen, outstandingFen, records } = answer.body as {
        balanceFen: number;
        outstandingFen: number;
        records: { ref: string; amountFen: number }[];
      };
      const recordsFen = records.reduce((sum, { amountFen }) => sum + amountFen, 0);
      const refs = new Set(records.map(({ ref }) => ref));
      looks += 1;
      if (outstandingFen > 0) sawOutstanding += 1;
      if (balanceFen !== toldFen || recordsFen !== toldFen || refs.size !== records.length)
        wrong.push({ toldFen, balanceFen, outstandingFen, recordsFen });
    }
  })();
  return {
    wrong,
    seen: () => ({ looks, sawOutstanding }),
    async stop() {
      stopped = true;
      await reading;
    },
  };
}

async function peopleWithPackets({ cluster, seed }: Round, prefix: string): Promise<Phone[]> {
  const phones = Array.from({ length: PEOPLE }, (_, at) => aPhone(cluster, `${prefix}-${seed}-${at}`, at));
  await Promise.all(phones.map((phone) => phone.win(PACKETS_EACH)));
  return phones;
}

onACluster('wallets are read without pause (I3)', ({ fault }) => {
  fault('through a whole drain no packet is seen twice, or not at all', async (round) => {
    const { cluster } = round;
    await cluster.command('credit-rate', '0');
    const phones = await peopleWithPackets(round, 'reader');
    const readers = phones.map((phone) => reader(phone, () => 0));
    await until(
      async () => readers.every((one) => one.seen().looks > 3),
      () => 'everybody has looked a few times',
    );
    expect(readers.every((one) => one.seen().sawOutstanding > 0)).toBe(true);
    // Slowly first, so that many looks fall into the drain; then as fast as it goes.
    await cluster.command('credit-rate', '16');
    await round.untilMoreWon(30);
    await cluster.command('credit-rate', 'off');
    await until(
      async () =>
        (await Promise.all(phones.map(async (phone) => (await phone.wallet())?.body.outstandingFen))).every(
          (fen) => fen === 0,
        ),
      () => 'everything is credited',
    );
    await Promise.all(readers.map((one) => one.stop()));
    expect(readers.flatMap((one) => one.wrong)).toEqual([]);
  });

  fault('all of what is shown can be withdrawn at that moment, credited or not', async (round) => {
    const { cluster } = round;
    await cluster.command('credit-rate', '8');
    const phones = await peopleWithPackets(round, 'taker');
    for (const phone of phones) {
      const shown = (await phone.wallet())?.body.balanceFen as number;
      expect(shown).toBe(phone.toldFen());
      await phone.withdrawAll();
      const after = await phone.wallet();
      expect(after?.body).toMatchObject({ balanceFen: 0, totalIncomeFen: shown });
    }
    await cluster.command('credit-rate', 'off');
  });

  fault(
    'while the book’s primaries die one after the other, a complete wallet is never wrong',
    async (round) => {
      const { cluster } = round;
      const { redis } = cluster.servers;
      await cluster.command('credit-rate', '0');
      const phones = await peopleWithPackets(round, 'failover');
      const wrong: unknown[] = [];
      let stopped = false;
      const reading = phones.map(async (phone) => {
        while (!stopped) {
          const toldFen = phone.toldFen();
          const { status, body } = (await phone.wallet()) ?? {};
          if (status === 200 && body?.complete === true && body.balanceFen !== toldFen)
            wrong.push({ toldFen, balanceFen: body.balanceFen });
          await delay(60);
        }
      });
      for (const primary of await redis.primaries()) {
        await primary.kill();
        await round.untilMoreWon(5);
        await primary.restart();
        await redis.untilWhole();
      }
      await cluster.command('credit-rate', 'off');
      stopped = true;
      await Promise.all(reading);
      expect(wrong).toEqual([]);
    },
  );
});
