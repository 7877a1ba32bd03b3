import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../tools/services.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

/** Answers every line with "did <line>", and keeps what it did. */
async function startWorker(port: number): Promise<{ server: Server; done: string[]; sockets: Socket[] }> {
  const done: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().split('\n').filter(Boolean)) {
        done.push(line);
        socket.write(`did ${line}\n`);
      }
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, done, sockets };
}

interface Caller {
  readonly socket: Socket;
  heard(): string;
  /** Resolves when it has heard this. */
  hears(text: string): Promise<void>;
  /** How its connection ended. */
  readonly ended: Promise<string>;
}

async function call(port: number, localAddress = '127.0.0.1'): Promise<Caller> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk.toString();
  });
  const ended = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve('closed'));
  });
  await once(socket, 'connect');
  return {
    socket,
    heard: () => heard,
    ended,
    async hears(text) {
      while (!heard.includes(text)) await once(socket, 'data');
    },
  };
}

describe('a stretch of network that can be made bad', () => {
  let proxy: TcpProxy;
  let worker: Awaited<ReturnType<typeof startWorker>>;

  beforeEach(async () => {
    const target = await freePort();
    worker = await startWorker(target);
    proxy = await startTcpProxy({ port: await freePort(), target: { port: target } });
  });
  afterEach(async () => {
    await proxy.close();
    for (const socket of worker.sockets) socket.destroy();
    worker.server.close();
  });

  it('passes bytes both ways, and the end of a connection', async () => {
    const caller = await call(proxy.port);
    caller.socket.write('one\n');
    await caller.hears('did one');
    caller.socket.end();
    expect(await caller.ended).toBe('closed');
    expect(proxy.connections).toBe(0);
  });

  it('carries megabytes in order, however slow the reader is', async () => {
    const caller = await call(proxy.port);
    const lines = Array.from({ length: 100_000 }, (_, at) => `line-${at}`);
    caller.socket.pause();
    caller.socket.write(`${lines.join('\n')}\nlast\n`);
    caller.socket.resume();
    await caller.hears('did last');
    expect(worker.done.length).toBeGreaterThanOrEqual(lines.length + 1);
    expect(worker.done.at(-1)).toBe('last');
  });

  it('delays one direction and not the other, and keeps the order when the delay is taken away', async () => {
    const caller = await call(proxy.port);
    proxy.delay({ toClient: 60 });
    const startMs = performance.now();
    caller.socket.write('slow\n');
    await caller.hears('did slow');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(59);
    caller.socket.write('second\n');
    while (worker.done.length < 2) await delay(1);
    proxy.restore();
    caller.socket.write('third\n');
    await caller.hears('did third');
    expect(caller.heard()).toBe('did slow\ndid second\ndid third\n');
  });

  it('cuts: open connections are reset, new ones too, until it is restored', async () => {
    const caller = await call(proxy.port);
    caller.socket.write('one\n');
    await caller.hears('did one');
    proxy.cut();
    expect(await caller.ended).toBe('ECONNRESET');
    const second = await call(proxy.port).catch((error: NodeJS.ErrnoException) => error.code);
    if (typeof second === 'object') expect(await second.ended).toBe('ECONNRESET');
    else expect(second).toBe('ECONNRESET');
    proxy.restore();
    const third = await call(proxy.port);
    third.socket.write('three\n');
    await third.hears('did three');
  });

  it('stalls: nothing passes and nobody is told, and what was said arrives afterwards', async () => {
    const caller = await call(proxy.port);
    caller.socket.write('one\n');
    await caller.hears('did one');
    proxy.stall();
    caller.socket.write('two\n');
    // The other side dies meanwhile; a half-open connection does not show that.
    const bystander = await call(proxy.port);
    bystander.socket.write('three\n');
    worker.sockets[0]!.resetAndDestroy();
    await delay(100);
    expect(worker.done).toEqual(['one']);
    expect(caller.socket.destroyed).toBe(false);
    proxy.restore();
    await bystander.hears('did three');
    expect(await caller.ended).toBe('ECONNRESET');
  });

  it('stalls the answers only: the work is done and nobody hears of it', async () => {
    const caller = await call(proxy.port);
    proxy.stall('toClient');
    caller.socket.write('one\n');
    while (worker.done.length === 0) await delay(1);
    expect(caller.heard()).toBe('');
    proxy.restore();
    await caller.hears('did one');
  });

  it('loses the reply to one request that was executed, once', async () => {
    const caller = await call(proxy.port);
    caller.socket.write('before\n');
    await caller.hears('did before');
    const lost = proxy.loseReplyTo((chunk) => chunk.includes('COMMIT'));
    caller.socket.write('BEGIN\n');
    await caller.hears('did BEGIN');
    caller.socket.write('COMMIT\n');
    await lost;
    expect(await caller.ended).toBe('ECONNRESET');
    expect(caller.heard()).toBe('did before\ndid BEGIN\n');
    expect(worker.done).toEqual(['before', 'BEGIN', 'COMMIT']);
    const again = await call(proxy.port);
    again.socket.write('COMMIT\n');
    await again.hears('did COMMIT');
  });

  it('has weather of its own for those who dial from one address', async () => {
    const [near, far] = [await call(proxy.port), await call(proxy.port, '127.0.1.9')];
    proxy.from('127.0.1.9').stall();
    far.socket.write('far\n');
    near.socket.write('near\n');
    await near.hears('did near');
    expect(worker.done).toEqual(['near']);
    proxy.from('127.0.1.9').restore();
    await far.hears('did far');
  });

  it('forgets connections that are over', async () => {
    const callers = await Promise.all(Array.from({ length: 20 }, () => call(proxy.port)));
    for (const caller of callers) caller.socket.destroy();
    await Promise.all(callers.map((caller) => caller.ended));
    while (proxy.connections > 0) await delay(1);
    expect(proxy.connections).toBe(0);
  });
});
