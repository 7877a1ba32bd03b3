import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditCluster, type ClusterAuditOptions } from '../../rehearsal/audit/index.ts';
import { type Cluster, startCluster } from '../../tools/cluster/index.ts';
import { type NightReport, playNight } from '../../tools/cluster/night.ts';
import { testSeed } from '../support/orders.ts';
import { describeWithServers } from '../support/servers.ts';

const BUCKETS = 4;

describeWithServers(['redis', 'nats'], 'the whole engine in several processes, on real servers', () => {
  let cluster: Cluster;
  let night: NightReport;
  let evidence: ClusterAuditOptions;

  beforeAll(async () => {
    const seed = testSeed('cluster night');
    cluster = await startCluster({ buckets: BUCKETS });
    const options = { campaignFile: 'test/faults/kill-campaign.yaml', campaignId: 'kill', seed };
    night = await playNight(cluster, { ...options, people: 15, lastsMs: 4_000, thinkMs: 40, say: () => {} });
    evidence = {
      dataFolders: [...cluster.of('gateway'), ...cluster.of('wallet')].map(({ dataFolder }) => dataFolder),
      log: { connect: { servers: [...cluster.servers.nats.urls] }, space: 'hongbao', buckets: BUCKETS },
      ledgerUrls: cluster.servers.shards.map(({ url }) => url),
      controlUrl: cluster.servers.control.url,
      keyFile: path.join(cluster.keysFolder, 'keyring.json'),
      historyFile: night.historyFile,
      settled: true,
    };
  }, 240_000);
  afterAll(() => cluster?.stop(), 120_000);

  it('plays a night in which the auditor finds nothing', () => {
    expect(night.audit.findings).toEqual([]);
    expect(night.counts.won).toBeGreaterThan(20);
    expect(night.counts.withdrawn).toBeGreaterThan(0);
    expect(night.audit.checked).toMatchObject({ outstanding: 0, credits: night.audit.checked.orders });
    expect(night.audit.checked.records).toBeGreaterThan(0);
    // Pieces came from rounds and by grants, and one sandbox at the wallet handed out those that are no greetings.
    expect(night.upstream).toMatchObject({ granted: 20, pieces: 20, refused: 0 });
    expect(night.audit.checked.pieces).toBeGreaterThan(20);
    expect(night.audit.checked.handedOut).toBeGreaterThanOrEqual(10);
    // Though they timed out, broke off, failed and did it all the same.
    const answers = Object.fromEntries(night.downstream);
    const { fulfilled = 0, unknown = 0, failed = 0, processing = 0 } = answers;
    expect(fulfilled).toBeGreaterThanOrEqual(10);
    expect(unknown + failed + processing).toBeGreaterThan(0);
    expect(night.audit.conserved.filter(({ holds }) => !holds)).toEqual([]);
    // Each gateway shows what was credited, whoever of them gave it.
    expect(night.audit.checked.totals).toBe(cluster.of('gateway').length);
  });

  const whatIsFound = async (planted: Partial<ClusterAuditOptions>): Promise<string[]> => {
    const { findings } = await auditCluster({ ...evidence, ...planted });
    return [...new Set(findings.map(({ invariant, what }) => `${invariant} ${what}`))].sort();
  };

  it('has an auditor that misses the money of a database that is gone', async () => {
    const found = await whatIsFound({ ledgerUrls: evidence.ledgerUrls.slice(0, 1) });
    expect(found).toContain('I8 a bucket is owned by no shard');
    expect(found).toContain('I2 a promise is not in the ledger');
    expect(found).toContain('I2 a withdrawal that was accepted is not in the ledger');
  });

  it('has an auditor that notices what downstreams were never asked for, by the wallet’s own record', async () => {
    const [wallet] = cluster.of('wallet');
    const file = path.join(wallet!.dataFolder, 'award-sandbox', 'pieces.jsonl');
    const whole = readFileSync(file, 'utf8');
    const lines = whole.trimEnd().split('\n');
    // Of pieces that were handed out at the first asking: the downstream misbehaves, and others have several lines.
    const orderOf = (line: string) => (JSON.parse(line) as { orderNumber: string }).orderNumber;
    const asked = lines.map(orderOf);
    const [first, second] = lines.filter(
      (line) =>
        line.includes('"state":"done"') && asked.filter((order) => order === orderOf(line)).length === 1,
    );
    try {
      const others = lines.filter((line) => line !== first);
      writeFileSync(file, `${others.join('\n')}\n${second}\n`);
      expect(await whatIsFound({})).toEqual([
        'I1 a piece was handed out more than once',
        'I2 a fulfilled piece was never handed out',
      ]);
      writeFileSync(file, `${whole}${first!.replaceAll('_tea_', '_tea-x_')}\n`);
      expect(await whatIsFound({})).toContain(
        'I8 a downstream was asked for a piece that was never credited',
      );
    } finally {
      writeFileSync(file, whole);
    }
  });

  it('has an auditor that notices people with two homes, and credits that are there twice', async () => {
    const [first, second] = evidence.ledgerUrls;
    const found = await whatIsFound({ ledgerUrls: [first!, second!, second!] });
    expect(found).toContain('I8 a bucket is owned by two shards');
    expect(found).toContain('I1 an order was credited twice');
  });

  it('has an auditor that notices a screen on which another total stands', async () => {
    const { url } = cluster.of('gateway')[0]!;
    const shown = (await (await fetch(`${url}/v1/campaigns/kill/total`)).json()) as { fen: number };
    const screen = createServer((_, response) => {
      response.end(JSON.stringify({ ...shown, fen: shown.fen + 1 }));
    }).listen(0, '127.0.0.1');
    await once(screen, 'listening');
    const { port } = screen.address() as { port: number };
    const found = await whatIsFound({ gatewayUrls: [url, `http://127.0.0.1:${port}`] });
    screen.close();
    expect(found).toEqual(['I8 the total on the screen is not what was credited']);
  });

  it('has an auditor that misses the journal of a gateway, the second copy of what it promised', async () => {
    const found = await whatIsFound({ dataFolders: evidence.dataFolders.slice(1) });
    expect(found).toContain('I2 somebody was told "won", and no process has it in its own journal');
  });

  it('has an auditor that does not take a log of fewer buckets for the whole', async () => {
    const alone = { ...evidence.log, buckets: 1 };
    // Without the journals, which would say the same.
    const found = await whatIsFound({ log: alone, dataFolders: [] });
    expect(found).toContain('I8 a credit has no promise in the journal');
  });

  it('is audited by its operators, by its addresses alone', async () => {
    const report = JSON.parse(await cluster.command('audit', '--settled', '--json')) as NightReport['audit'];
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect(report.checked.credits).toBe(night.audit.checked.credits);
    // The auditor leaves nothing at the servers: those who own the buckets are the only readers there.
    const connection = await connect({ servers: [...cluster.servers.nats.urls] });
    const names: string[] = [];
    const manager = await jetstreamManager(connection);
    for await (const { name } of manager.consumers.list('hongbao-0')) names.push(name);
    await connection.close();
    expect(names).toEqual([expect.stringMatching(/^credit-\d+$/)]);
  });

  it('tells how it is doing while control’s database is away', async () => {
    await cluster.servers.control.stop();
    const status = JSON.parse(await cluster.command('status', '--json')) as Record<string, unknown>;
    expect(status).toMatchObject({
      unclosedSlices: null,
      log: { accepting: true },
      ledger: { reachable: true },
    });
    await cluster.servers.control.restart();
  });

  it('ends in order when it is asked to: every process by itself, with code 0', async () => {
    await Promise.all(cluster.processes.map((one) => one.stop()));
    expect(cluster.processes.map(({ name, ended }) => ({ name, ended }))).toEqual(
      cluster.processes.map(({ name }) => ({ name, ended: { code: 0, signal: null } })),
    );
  });
});
