import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { connectNats, type NatsLink } from '../../src/engines/jetstream/connection.ts';
import { requireProgram } from '../../tools/services/binaries.ts';
import { syncSetting } from '../../tools/services/nats.ts';
import { findNats, isFitNats, natsVersion } from '../../tools/services/nats-program.ts';
import { freePort, quiet } from './postgres.ts';
import { testClock } from './rig.ts';

export interface TestNatsServer {
  readonly name: string;
  readonly port: number;
  /** Where its streams lie (nats-store.ts reads them). */
  readonly storeFolder: string;
  /** Ends the process at once and waits for its end. */
  kill(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** SIGSTOP: a server that is there and says nothing. Resolves once each of its threads stands still. */
  freeze(): Promise<void>;
  wake(): void;
  /** Starts it again on its old port and data. */
  start(): Promise<void>;
}

export interface TestNats {
  readonly url: string;
  readonly servers: readonly TestNatsServer[];
  /** A connection that is closed at the end. */
  link(name?: string): Promise<NatsLink>;
  stop(): Promise<void>;
}

/** Which nats-server the tests run on, for their titles, and whether it is 2.10 or newer. */
export function natsUnderTest(): { readonly says: string; readonly isFit: boolean } {
  const program = findNats();
  const says = `nats-server ${(program && natsVersion(program)?.join('.')) ?? 'missing'}`;
  return { says, isFit: program !== undefined && isFitNats(program) };
}

/** One nats-server with JetStream, or three as a cluster, in a temporary folder on free ports. */
export async function startTestNats(
  count: 1 | 3 = 1,
  /** `as-cluster`: as `npm run cluster` has it. `interval`: whatever the server does by itself. */
  sync: 'as-cluster' | 'interval' = 'as-cluster',
): Promise<TestNats> {
  const program = requireProgram('nats');
  const setting = sync === 'interval' ? '' : syncSetting(program);
  const root = mkdtempSync(path.join(tmpdir(), 'hongbao-nats-'));
  const ports: { client: number; route: number }[] = [];
  while (ports.length < count) ports.push({ client: await freePort(), route: await freePort() });
  const servers = ports.map(({ client, route }, at) => {
    const folder = path.join(root, `n${at + 1}`);
    mkdirSync(folder, { recursive: true });
    const others = ports.filter((one) => one.route !== route);
    const routes = others.map((one) => `"nats-route://127.0.0.1:${one.route}"`).join(', ');
    const cluster =
      count === 1 ? '' : `cluster { name: test, listen: "127.0.0.1:${route}", routes: [${routes}] }`;
    writeFileSync(
      path.join(folder, 'nats.conf'),
      `server_name: n${at + 1}\nlisten: "127.0.0.1:${client}"\njetstream { store_dir: "${folder}/js", ${setting} }\n${cluster}\n`,
    );
    return aServer(program, `n${at + 1}`, client, folder);
  });
  await Promise.all(servers.map((one) => one.start()));
  const url = `nats://${ports.map(({ client }) => `127.0.0.1:${client}`).join(',')}`;
  const links: NatsLink[] = [];
  const link = async (name = 'test') => {
    const made = await connectNats({
      url,
      name,
      clock: testClock(),
      logger: process.env.NATS_LOG ? pino() : quiet,
      random: Math.random,
    });
    links.push(made);
    return made;
  };
  await untilReady(await link('ready'), servers);
  return {
    url,
    servers,
    link,
    async stop() {
      for (const one of links) await one.close();
      await Promise.all(servers.map((one) => one.kill()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function aServer(program: string, name: string, port: number, folder: string): TestNatsServer {
  let child: ChildProcess | undefined;
  return {
    name,
    port,
    storeFolder: path.join(folder, 'js'),
    async freeze() {
      child?.kill('SIGSTOP');
      while (child?.pid !== undefined && !standsStill(child.pid)) await delay(1);
    },
    wake: () => void child?.kill('SIGCONT'),
    async kill(signal = 'SIGKILL') {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
    async start() {
      child = spawn(program, ['-c', path.join(folder, 'nats.conf'), '-l', path.join(folder, 'log')], {
        stdio: 'ignore',
      });
      while (!(await answers(port))) {
        if (child.exitCode !== null)
          throw new Error(`nats-server ended with ${child.exitCode}: ${folder}/log`);
        await delay(10);
      }
    },
  };
}

function standsStill(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((task) =>
    / T /.test(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8')),
  );
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** How long servers may take to find one another before they are started again. */
const PATIENCE_MS = 8_000;

/**
 * Resolves once streams can be placed on all servers. Servers of 2.10 that start for the first time at the same moment
 * now and then leave one of them out of their group for good; started again, they find one another.
 */
async function untilReady(link: NatsLink, servers: readonly TestNatsServer[]): Promise<void> {
  for (;;) {
    const lastMs = performance.now() + PATIENCE_MS;
    while (performance.now() < lastMs) {
      if (await canPlace(link, servers.length)) return;
      await delay(50);
    }
    for (const server of servers) {
      await server.kill();
      await server.start();
    }
  }
}

async function canPlace(link: NatsLink, replicas: number): Promise<boolean> {
  try {
    // Refused at once while nobody leads; the other would wait for its time-out.
    await link.jsm.getAccountInfo();
    await link.jsm.streams.add({ name: 'ready', subjects: ['ready'], num_replicas: replicas });
    return await link.jsm.streams.delete('ready');
  } catch {
    return false;
  }
}
