import { startCluster } from './cluster/index.ts';
const say = (s: string) => process.stdout.write(`${Math.round(performance.now())} ${s}\n`);
const cluster = await startCluster().catch((error) => { say(String(error)); process.exit(1); });
for (const one of cluster.processes) say(`${one.name} ${one.url}`);
await cluster.applyCampaign('examples/gala.yaml').then(() => say('applied'), (e) => say(String(e)));
for (const one of cluster.processes) { process.stdout.write(`--- ${one.name}\n${one.log().slice(-1500)}\n`); }
await cluster.stop();
say('stopped');
