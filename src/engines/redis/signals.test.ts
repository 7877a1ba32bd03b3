import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { quiet } from '../../../test/support/postgres.ts';
import { connected, emptied, eventually, startTestRedis } from '../../../test/support/redis.ts';
import type { RedisCluster } from '../../../tools/services.ts';
import type { RedisClient } from './client.ts';
import { createRedisSignals } from './signals.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
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
  beforeEach(() => emptied(cluster));
  afterAll(async () => {
    await ours?.close();
    await theirs?.close();
    await cluster?.stop();
  });

  function reader(pollMs: number) {
    const heard: string[] = [];
    const signals = createRedisSignals({ client: theirs, logger: quiet, pollMs });
    const end = signals.subscribe((envelope) => heard.push(Buffer.from(envelope).toString()));
    return { heard, signals, end };
  }

  it('knows the newest, and nothing before the first', async () => {
    const signals = createRedisSignals({ client: ours, logger: quiet });
    expect(await signals.latest()).toBeUndefined();
    await signals.publish(bytes('first'), 1);
    expect(Buffer.from((await signals.latest())!).toString()).toBe('first');
  });

  it('keeps bytes of any kind as they are', async () => {
    const signals = createRedisSignals({ client: ours, logger: quiet });
    const envelope = Uint8Array.from({ length: 5_000 }, (_, at) => at % 256);
    await signals.publish(envelope, 1);
    expect(new Uint8Array((await signals.latest())!)).toEqual(envelope);
  });

  it('is not set back by an older one, or by the same number again', async () => {
    const signals = createRedisSignals({ client: ours, logger: quiet });
    await signals.publish(bytes('ninth'), 9);
    await signals.publish(bytes('tenth'), 10);
    await signals.publish(bytes('ninth again'), 9);
    await signals.publish(bytes('tenth again'), 10);
    expect(Buffer.from((await signals.latest())!).toString()).toBe('tenth');
  });

  it('tells a subscriber at once, of what was there before and of what comes', async () => {
    const signals = createRedisSignals({ client: ours, logger: quiet });
    await signals.publish(bytes('before'), 1);
    const { heard, end } = reader(NEVER_MS);
    await eventually(async () => expect(heard).toEqual(['before']));
    // The subscription itself is made in the background: publish until one comes through by the channel alone.
    for (let sequence = 2; heard.length < 2; sequence += 1) {
      await signals.publish(bytes(`later ${sequence}`), sequence);
      await ours.command('PING');
    }
    expect(heard[1]).toMatch(/^later/);
    end();
  });

  it('finds by itself what no message told it of', async () => {
    const { heard, end } = reader(20);
    await ours.command('HSET', '{hongbao}signals', 'sequence', 4, 'envelope', 'silent');
    await eventually(async () => expect(heard).toEqual(['silent']));
    end();
  });

  it('says nothing more once it was ended or closed', async () => {
    const [one, two] = [reader(20), reader(20)];
    const signals = createRedisSignals({ client: ours, logger: quiet });
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
    const signals = createRedisSignals({ client: ours, logger: quiet });
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
