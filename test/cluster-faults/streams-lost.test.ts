import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { ServerNode } from '../../tools/services.ts';
import { onACluster } from './stage.ts';

/** What a server needs to start, and what is kept of its words; everything else is its storage. */
const KEPT = new Set(['nats.conf', 'server.log']);

function emptyDisk(node: ServerNode): void {
  for (const name of readdirSync(node.folder))
    if (!KEPT.has(name)) rmSync(path.join(node.folder, name), { recursive: true });
}

onACluster('the log’s servers lose everything', ({ fault }) => {
  fault('all are killed, and come back with empty disks', async (round) => {
    const { nats } = round.cluster.servers;
    await Promise.all(nats.nodes.map((node) => node.kill()));
    for (const node of nats.nodes) emptyDisk(node);
    await round.untilMoreWon(20);
    await Promise.all(nats.nodes.map((node) => node.restart()));
    await nats.untilLed();
    await round.untilMoreWon(50);
  });
});
