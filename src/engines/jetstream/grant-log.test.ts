import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { AckPolicy, StorageType } from '@nats-io/jetstream';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aBatch, upTo } from '../../../test/support/batches.ts';
import { startTestNats, type TestNats } from '../../../test/support/nats.ts';
import { quiet } from '../../../test/support/postgres.ts';
import { testClock, until } from '../../../test/support/rig.ts';
import type { SliceId } from '../../vocabulary/ids.ts';
import { encodeGrants } from '../embedded/journal/record-codec.ts';
import { connectNats, type NatsLink, parseNatsUrl } from './connection.ts';
import { durabilityOf } from './durability.ts';
import { createJetStreamLog, type JetStreamLog } from './grant-log.ts';
import { ensureStreams } from './streams.ts';

let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
});
afterAll(async () => {
  await nats.stop();
});

let spaces = 0;
let space: string;
let link: NatsLink;
let log: JetStreamLog;
const settings = (bytesMax = 1 << 26) => ({ space, buckets: 1, replicas: 1, bytesMax });

beforeEach(async () => {
  spaces += 1;
  space = `log-${spaces}`;
  link = await nats.link();
  await ensureStreams(link, settings());
  log = createJetStreamLog({ link, space, bucket: 0, bootId: 'boot', replicas: 1, deadlineMs: 600 });
});
afterEach(async () => {
  await log.close();
});

describe('a NATS connection', () => {
  it('reads user, password and several servers from its URL', () => {
    expect(parseNatsUrl('nats://a:4222,b:4223')).toEqual({ servers: ['a:4222', 'b:4223'] });
    expect(parseNatsUrl('nats://me:p%40ss@a:1')).toEqual({ servers: ['a:1'], user: 'me', pass: 'p@ss' });
    expect(parseNatsUrl('nats://t%40ken@a:1')).toEqual({ servers: ['a:1'], token: 't@ken' });
    expect(parseNatsUrl('tls://a:1')).toEqual({ servers: ['a:1'], tls: {} });
    expect(() => parseNatsUrl('http://a:1')).toThrow('nats://');
  });

  it('writes nothing to a socket that it has ended: the error would end the process', async () => {
    const { protocol } = (await nats.link('leaving')).nc as unknown as {
      protocol: { transport: { socket: Socket; _send(frame: Uint8Array): Promise<void> } };
    };
    const { socket } = protocol.transport;
    const errors: unknown[] = [];
    socket.removeAllListeners().on('error', (error) => errors.push(error));
    socket.end();
    await protocol.transport._send(Buffer.from('PING\r\n'));
    await once(socket, 'close');
    expect(errors).toEqual([]);
  });

  it('says why it waits for a first server', async () => {
    const later = await startTestNats();
    await later.servers[0]!.kill();
    const said: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
    const connecting = connectNats({
      url: later.url,
      name: 'early',
      clock: testClock(),
      logger,
      random: Math.random,
    });
    await until(() => said.length > 0, 'it says so');
    expect(said[0]).toMatch(/refused.*can’t be reached yet/);
    await later.servers[0]!.start();
    await (await connecting).close();
    await later.stop();
    // Our own leaving is no fault of anybody's.
    expect(said).toHaveLength(1);
  });

  it('waits for a server that is not there yet, and finds it again after it was away', async () => {
    const later = await startTestNats();
    await later.servers[0]!.kill();
    const connecting = connectNats({
      url: later.url,
      name: 'early',
      clock: testClock(),
      logger: quiet,
      random: Math.random,
    });
    await later.servers[0]!.start();
    const early = await connecting;
    const changes: boolean[] = [];
    early.onChange((isUp) => changes.push(isUp));
    await later.servers[0]!.kill();
    await until(() => early.downForMs() > 0, 'it is gone');
    await later.servers[0]!.start();
    await until(() => early.downForMs() === 0, 'it is back');
    expect(changes).toEqual([false, true]);
    await early.close();
    await later.stop();
  });
});

describe('the streams', () => {
  it('are made once, and refused when they are weaker than they have to be', async () => {
    await ensureStreams(link, settings());
    await expect(ensureStreams(link, { ...settings(), replicas: 3 })).rejects.toThrow('1 replicas, not 3');
    await expect(ensureStreams(link, settings(1 << 27))).rejects.toThrow('max_bytes is under');
    await expect(ensureStreams(link, { ...settings(), buckets: 2 })).rejects.toThrow('buckets never change');
    const weak = { name: `${space}-weak-0`, subjects: ['weak.>'], storage: StorageType.Memory, max_age: 1e9 };
    await link.jsm.streams.add({ ...weak, no_ack: true });
    await expect(ensureStreams(link, { ...settings(), space: `${space}-weak` })).rejects.toThrow(
      /storage is not file; .*discard is not new.*max_age is set.*no_ack is set/,
    );
  });

  it('say what is known about the fsync of their servers', async () => {
    const older = { ...link, nc: { info: { version: '2.9.10' } } } as NatsLink;
    expect(await durabilityOf(older, [])).toMatchObject({ sync: 'interval' });
    const newer = { ...link, nc: { info: { version: '2.11.3' } } } as NatsLink;
    expect(await durabilityOf(newer, [])).toMatchObject({ sync: 'unknown' });
    const [always, interval, unknown] = [{ sync_always: true }, { sync_interval: 120e9 }, {}];
    const told = [always, interval, unknown, always, interval, always, unknown];
    const server = createServer((_, response) =>
      response.end(JSON.stringify({ jetstream: { config: told.shift() } })),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await durabilityOf(newer, [url])).toMatchObject({ sync: 'always' });
    expect((await durabilityOf(newer, [url])).says).toContain('every 120000 ms');
    expect(await durabilityOf(newer, [url])).toMatchObject({ sync: 'unknown' });
    expect(await durabilityOf(newer, [url, url])).toMatchObject({ sync: 'interval' });
    expect(await durabilityOf(newer, [url, url])).toMatchObject({ sync: 'unknown' });
    server.close();
    expect(await durabilityOf(newer, ['http://127.0.0.1:9'])).toMatchObject({ sync: 'unknown' });
  });
});

describe('an append', () => {
  it('under the same name is the same record', async () => {
    const body = encodeGrants(aBatch([1]));
    expect(await log.appendNamed(body, 'twice')).toBe(1);
    expect(await log.appendNamed(body, 'twice')).toBe(1);
    expect(await log.append(aBatch([2]))).toBe(2);
  });

  it('is refused before the stream is so full that its server would drop the oldest', async () => {
    // With names of this length the server's own limit does drop: see FULL_PART.
    space = `${space}-small`;
    await ensureStreams(link, settings(40_000));
    const small = createJetStreamLog({ link, space, bucket: 0, bootId: 'boot', replicas: 1 });
    const full = async () => {
      for (;;) await small.append(aBatch(upTo(4)));
    };
    await expect(full()).rejects.toMatchObject({ kind: 'log-unavailable' });
    await until(() => !small.health().accepting, 'its health says so');
    const { state } = await link.jsm.streams.info(`${space}-0`);
    expect(state.first_seq).toBe(1);
    expect(state.bytes).toBeGreaterThan(30_000);
    await link.jsm.streams.purge(`${space}-0`);
    await until(() => small.health().accepting, 'there is room');
    expect(await small.append(aBatch([1]))).toBe(state.last_seq + 1);
    await small.close();
  });

  it('is unknown when the server says nothing, and refused when there is no server', async () => {
    const [server] = nats.servers;
    await server!.freeze();
    try {
      await expect(log.append(aBatch([1]))).rejects.toMatchObject({ kind: 'outcome-unknown' });
      expect(log.health().accepting).toBe(false);
    } finally {
      server!.wake();
    }
    await until(() => log.health().accepting, 'it takes appends again');
    await server!.kill();
    await until(() => link.downForMs() > 0, 'the connection is gone');
    await expect(log.append(aBatch([2]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    await server!.start();
    await until(() => log.health().accepting, 'it takes appends again');
    // The one that was left unknown was taken after all: unknown is not failed.
    expect(await log.append(aBatch([3]))).toBe(2);
  });

  it('is refused by the wrong stream: nothing goes where nobody would look for it', async () => {
    await link.jsm.streams.delete(`${space}-0`);
    await link.jsm.streams.add({ name: 'other', subjects: [`${space}.log.>`] });
    await expect(log.append(aBatch([1]))).rejects.toMatchObject({ kind: 'log-unavailable' });
    await link.jsm.streams.delete('other');
  });

  it('waits behind a fence that was asked for before it, though the fence fails', async () => {
    await link.jsm.streams.delete(`${space}-0`);
    const fence = log.appendFence({ sliceId: 1n as SliceId, epoch: 1 });
    const append = log.append(aBatch([1]));
    await expect(fence).rejects.toMatchObject({ kind: 'log-unavailable' });
    await ensureStreams(link, settings());
    expect(await append).toBe(1);
  });

  it('leaves no consumer behind', async () => {
    await log.append(aBatch([1]));
    await link.jsm.consumers.add(`${space}-0`, { durable_name: 'somebody', ack_policy: AckPolicy.Explicit });
    await expect(log.untilDrained(1, AbortSignal.timeout(50))).rejects.toMatchObject({ kind: 'draining' });
    expect((await link.jsm.streams.info(`${space}-0`)).state.consumer_count).toBe(1);
  });
});

describe('the end of the stream', () => {
  const untilItEndsAt = (end: number) =>
    until(
      () =>
        log.endNow().then(
          (told) => told === end,
          () => false,
        ),
      `it is told again that it ends at ${end}`,
    );

  it('is asked for once by all who ask in the same turn, and again by those who come later', async () => {
    let questions = 0;
    const info = `$JS.API.STREAM.INFO.${space}-0`;
    const second = await nats.link();
    const other = createJetStreamLog({ link: second, space, bucket: 0, bootId: 'other', replicas: 1 });
    // Health looks at the same subject now and then: those of this log are over before anybody counts.
    await other.endNow();
    await until(() => other.health().accepting, 'its first look is over');
    const asked = link.nc.subscribe(info, {
      callback: () => {
        questions += 1;
      },
    });
    await link.nc.flush();
    expect(await Promise.all(upTo(100).map(() => other.endNow()))).toEqual(upTo(100).map(() => 0));
    await link.nc.flush();
    expect(questions).toBeLessThan(10);
    const before = questions;
    await other.endNow();
    await until(() => questions > before, 'it was asked again');
    asked.unsubscribe();
    await other.close();
  });

  it('is not known when the server says nothing, when there is none, and when the stream is gone', async () => {
    const unknown = { kind: 'log-unavailable' };
    await log.append(aBatch([1]));
    const [server] = nats.servers;
    await server!.freeze();
    try {
      await expect(Promise.all(upTo(30).map(() => log.endNow()))).rejects.toMatchObject(unknown);
    } finally {
      server!.wake();
    }
    await untilItEndsAt(1);
    await server!.kill();
    await until(() => link.downForMs() > 0, 'the connection is gone');
    await expect(log.endNow()).rejects.toMatchObject(unknown);
    await server!.start();
    await untilItEndsAt(1);
    await link.jsm.streams.delete(`${space}-0`);
    await expect(log.endNow()).rejects.toMatchObject(unknown);
  });

  it('is not what a stream says that has less than it acknowledged', async () => {
    for (const person of [1, 2, 3]) await log.append(aBatch([person]));
    await link.jsm.streams.delete(`${space}-0`);
    await ensureStreams(link, settings());
    await expect(log.endNow()).rejects.toMatchObject({ kind: 'log-unavailable' });
    // Once the loss was noticed and told, what is left counts.
    await link.nc.reconnect();
    await untilItEndsAt(0);
  });
});
