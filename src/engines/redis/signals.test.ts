import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { quiet } from '../../../test/support/postgres.ts';
import { connected, emptied, eventually, startTestRedis } from '../../../test/support/redis.ts';
import type { RedisCluster } from '../../../tools/services.ts';
import type { RedisClient } from './client.ts';
import { createRedisSignals } from './signals.ts';

let test = 0;
/** Named after its test: what an earlier test published may still be on its way between the nodes. */
const bytes = (text: string) => new Uint8Array(Buffer.from(`${test} ${text}`));
const textOf = (envelope: Uint8Array | undefined) =>
  Buffer.from(envelope ?? [])
    .toString()
    .replace(`${test} `, '');
const NEVER_MS = 2 ** 30;

describe('signals by Redis', () => {
  let cluster: RedisCluster;
  let ours: RedisClient;
  let theirs: RedisClient;
  beforeAll(async () => {
    cluster = await startTestRedis();
    ours = await connected(cluster.url);
    theirs = await connected(cluster.url);
  });
  beforeEach(async () => {
    await emptied(cluster);
    test += 1;
  });
  afterAll(async () => {
    await ours?.close();
    await theirs?.close();
    await cluster?.stop();
  });

  function reader(pollMs: number) {
    const heard: string[] = [];
    const signals = createRedisSignals({ client: theirs, space: 'gala', logger: quiet, pollMs });
    const end = signals.subscribe((envelope) => {
      if (Buffer.from(envelope).toString().startsWith(`${test} `)) heard.push(textOf(envelope));
    });
    return { heard, signals, end };
  }

  it('knows the newest, and nothing before the first', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    expect(await signals.latest()).toBeUndefined();
    await signals.publish(bytes('first'), 1);
    expect(textOf(await signals.latest())).toBe('first');
  });

  it('keeps bytes of any kind as they are', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    const envelope = Uint8Array.from({ length: 5_000 }, (_, at) => at % 256);
    await signals.publish(envelope, 1);
    expect(new Uint8Array((await signals.latest())!)).toEqual(envelope);
  });

  it('is not set back by an older one, or by the same number again', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    await signals.publish(bytes('ninth'), 9);
    await signals.publish(bytes('tenth'), 10);
    await signals.publish(bytes('ninth again'), 9);
    await signals.publish(bytes('tenth again'), 10);
    expect(textOf(await signals.latest())).toBe('tenth');
  });

  it('tells a subscriber at once, of what was there before and of what comes', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    await signals.publish(bytes('before'), 1);
    const { heard, end } = reader(NEVER_MS);
    // Once at least: the message itself may still be on its way between the nodes when the first look has it.
    await eventually(async () => expect(heard).toContain('before'));
    // The subscription itself is made in the background: publish until one comes through by the channel alone.
    const isLater = (text: string) => text.startsWith('later');
    for (let sequence = 2; !heard.some(isLater); sequence += 1) {
      await signals.publish(bytes(`later ${sequence}`), sequence);
      await ours.command('PING');
    }
    end();
  });

  it('finds by itself what no message told it of', async () => {
    const { heard, end } = reader(20);
    await ours.command('HSET', '{gala}signals', 'sequence', 4, 'envelope', `${test} silent`);
    await eventually(async () => expect(heard).toEqual(['silent']));
    end();
  });

  it('hears nothing of another cluster on the same servers', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    const others = createRedisSignals({ client: ours, space: 'drill', logger: quiet });
    const { heard, end } = reader(20);
    await others.publish(bytes('theirs'), 9);
    await signals.publish(bytes('ours'), 1);
    await eventually(async () => expect(heard).toEqual(['ours']));
    expect(textOf(await others.latest())).toBe('theirs');
    end();
  });

  it('says nothing more once it was ended or closed', async () => {
    const [one, two] = [reader(20), reader(20)];
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    await signals.publish(bytes('first'), 1);
    await eventually(async () => expect([one.heard, two.heard]).toEqual([['first'], ['first']]));
    one.end();
    await two.signals.close();
    const { heard, end } = reader(20);
    await signals.publish(bytes('second'), 2);
    await eventually(async () => expect(heard.at(-1)).toBe('second'));
    expect([one.heard, two.heard]).toEqual([['first'], ['first']]);
    end();
  });

  it('goes on after the node of its subscription has gone', async () => {
    const signals = createRedisSignals({ client: ours, space: 'gala', logger: quiet });
    const { heard, end } = reader(50);
    await signals.publish(bytes('first'), 1);
    await eventually(async () => expect(heard).toEqual(['first']));
    for (const node of cluster.nodes) await node.restart();
    await cluster.untilWhole();
    await eventually(() => signals.publish(bytes('second'), 2));
    await eventually(async () => expect(heard.at(-1)).toBe('second'));
    end();
  });
});
