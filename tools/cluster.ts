/**
 * `npm run cluster`: the whole engine on this machine, against real servers, for one small night. Everything lies in a
 * temporary folder and on free ports, and is gone afterwards.
 *
 *   npm run cluster                        one night: crowd, drain, audit, report
 *   npm run cluster -- --keep              the same, and then it stays up until Ctrl-C
 *   npm run cluster -- --people 200 --seconds 30 --seed 7 --campaign FILE
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { conservedLines } from '../src/processes/cli/audit-report.ts';
import { type Cluster, startCluster } from './cluster/index.ts';
import { type NightReport, playNight } from './cluster/night.ts';
import { ensure, thisMachine } from './services/ensure.ts';

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    people: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '15' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    campaign: { type: 'string', default: 'examples/gala.yaml' },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (ensure(thisMachine(say)).length > 0) return 1;
  const asked = Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal))).then(
    () => 'asked' as const,
  );
  const { campaign, apps } = parse(readFileSync(values.campaign, 'utf8')) as {
    campaign: string;
    apps: { name: string }[];
  };
  say('starting 6 Redis, 3 NATS, 3 Postgres, 2 gateways, 2 creditors, 1 wallet, 1 control …');
  const cluster = await startCluster({ appName: apps[0]!.name });
  try {
    for (const line of addressesOf(cluster)) say(line);
    const seed = Number(values.seed);
    say(`\n${values.people} people at each gateway for ${values.seconds} s, seed ${seed}`);
    const night = await Promise.race([
      asked,
      playNight(cluster, {
        campaignFile: values.campaign,
        campaignId: campaign,
        people: Number(values.people),
        lastsMs: Number(values.seconds) * 1_000,
        seed,
        say,
      }),
    ]);
    if (night === 'asked') return 130;
    for (const line of linesOf(night)) say(line);
    if (values.keep) {
      for (const line of whatToOpen(cluster)) say(line);
      await stayAwakeUntil(asked);
    }
    return night.audit.ok ? 0 : 1;
  } finally {
    say('stopping everything …');
    await cluster.stop();
  }
}

/** A signal handler alone keeps no process alive. */
async function stayAwakeUntil(asked: Promise<unknown>): Promise<void> {
  const awake = setInterval(() => {}, 60_000);
  await asked;
  clearInterval(awake);
}

function addressesOf({ servers, processes }: Cluster): string[] {
  return [
    '',
    `  Redis      ${servers.redis.url}`,
    `  NATS       ${servers.nats.url}`,
    ...servers.shards.map(({ name, url }) => `  ${name.padEnd(10)} ${url}`),
    `  control DB ${servers.control.url}`,
    ...processes.map(
      ({ name, url, opsUrl, pid }) => `  ${name.padEnd(10)} ${url}  (metrics ${opsUrl}/metrics, pid ${pid})`,
    ),
  ];
}

function linesOf({ counts, upstream, refusals, downstream, audit, drainedMs }: NightReport): string[] {
  const told = [...refusals].map(([code, count]) => `${code} ${count}`).join(', ');
  const { orders, credits, outstanding, voided, withdrawals, slices, records, seals } = audit.checked;
  const { pieces, handedOut } = audit.checked;
  const answers = [...downstream].map(([answer, count]) => `${answer} ${count}`).join(', ');
  return [
    '',
    `  people     ${counts.shakes} shakes, ${counts.won} packets (${counts.wonOnSockets} over WebSocket), ${counts.repeats} shown twice, ${counts.withdrawn} withdrawals, ${counts.wallets} looks at a wallet`,
    `  upstream   ${upstream.granted} granted by a service, ${upstream.pieces} of them pieces, each asked for twice; ${upstream.refused} refused, ${upstream.unknown} not settled`,
    `  refused    ${told || 'nobody'}; ${counts.lost} answers lost`,
    `  log        ${records} micro-batches, ${orders} orders, ${seals} seals opened`,
    `  ledger     ${credits} credits, ${outstanding} outstanding, ${voided} void, ${withdrawals} withdrawals, ${slices} slices; drained in ${Math.round(drainedMs)} ms`,
    `  pieces     ${pieces} credited, ${handedOut} handed out by downstreams, which misbehaved; greetings need none`,
    `  answers    of downstreams, by what they mean: ${answers}`,
    `  auditor    ${audit.ok ? 'found nothing: I1–I8 hold' : `${audit.findings.length} findings`}`,
    ...audit.findings.map(
      ({ invariant, what, where, detail }) => `    ${invariant} ${what}: ${where} ${detail}`,
    ),
    ...conservedLines(audit.conserved).map((line) => `  ${line}`),
    '',
  ];
}

function whatToOpen({ of, processes }: Cluster): string[] {
  const [control] = of('control');
  return [
    `  Open       ${of('gateway')[0]!.url}/`,
    `  Operate    HONGBAO_DATA=${control!.dataFolder} npx hongbao status`,
    '  Break it   kill -9 or kill -STOP any pid above, or of any server, and look again',
    ...processes.map(({ name, folder }) => `  Log        ${name.padEnd(10)} ${folder}/server.log`),
    '  Ctrl-C stops everything and removes it.',
  ];
}
