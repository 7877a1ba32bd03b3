import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../services/ports.ts';
import { freshFolder, type OwnedServerNode, type ServerNode, startServer } from '../services/server.ts';

export type Role = 'gateway' | 'creditor' | 'wallet' | 'control';

/** What runs of each role. Control comes first only because its address is handed to the others. */
export const ROLES: readonly { readonly role: Role; readonly count: number }[] = [
  { role: 'control', count: 1 },
  { role: 'wallet', count: 1 },
  { role: 'creditor', count: 2 },
  { role: 'gateway', count: 2 },
];

/** A process of the engine; may be killed, frozen and started again like any server. */
export interface RoleProcess extends ServerNode {
  readonly role: Role;
  readonly url: string;
  readonly opsUrl: string;
  /** HONGBAO_DATA: its journal, run file and what else is its own. */
  readonly dataFolder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Resolves when /readyz says so. */
  untilReady(withinMs?: number): Promise<void>;
}

export type OwnedRoleProcess = RoleProcess & OwnedServerNode;

export interface RolePlace {
  readonly role: Role;
  readonly name: string;
  readonly port: number;
  readonly opsPort: number;
}

/** Ports for everybody before anybody starts, so that they may start in any order. */
export async function choosePlaces(): Promise<readonly RolePlace[]> {
  const places = ROLES.flatMap(({ role, count }) =>
    Array.from({ length: count }, (_, at) => ({ role, name: count > 1 ? `${role}-${at + 1}` : role })),
  );
  return Promise.all(
    places.map(async (place) => ({ ...place, port: await freePort(), opsPort: await freePort() })),
  );
}

/** Starts a process and waits until it has found its servers; it may not be ready yet (no campaign, no log). */
export async function startRole(
  place: RolePlace,
  shared: Readonly<Record<string, string>>,
): Promise<OwnedRoleProcess> {
  const folder = freshFolder(place.name);
  const dataFolder = path.join(folder, 'data');
  mkdirSync(dataFolder);
  const env: Record<string, string> = {
    ...shared,
    HONGBAO_DATA: dataFolder,
    HONGBAO_HOST: '127.0.0.1',
    HONGBAO_PORT: String(place.port),
    HONGBAO_OPS_PORT: String(place.opsPort),
  };
  const url = `http://127.0.0.1:${place.port}`;
  const server = await startServer({
    name: place.name,
    command: process.execPath,
    args: [path.resolve('bin/hongbao.mjs'), 'serve', '--role', place.role],
    port: place.port,
    otherPorts: [place.opsPort],
    folder,
    env,
    stopSignal: 'SIGTERM',
    // Alive it is at once; this is answered by the parts themselves.
    isReady: () => saysYes(`${url}/.well-known/jwks.json`),
  });
  return Object.assign(Object.create(server) as OwnedServerNode, {
    role: place.role,
    url,
    opsUrl: `http://127.0.0.1:${place.opsPort}`,
    dataFolder,
    env,
    async untilReady(withinMs = 60_000) {
      const lastMs = performance.now() + withinMs;
      while (!(await saysYes(`${url}/readyz`))) {
        if (performance.now() > lastMs)
          throw new Error(`${place.name} is not ready after ${withinMs} ms:\n${server.log()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  });
}

const saysYes = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.ok,
    () => false,
  );
