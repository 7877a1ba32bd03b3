import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readConnectors } from '../../src/engines/connector-http/read.ts';
import { readConfig } from '../../src/processes/config.ts';
import { KINDS, type Manifest, type Workload } from './kubernetes-schema.ts';

const FOLDER = 'deploy/kubernetes';
const files = readdirSync(FOLDER).filter((name) => name !== 'kustomization.yaml');
const documents = files.flatMap((name) =>
  parseAllDocuments(readFileSync(path.join(FOLDER, name), 'utf8')).map((document, at) => ({
    place: `${name}, document ${at + 1}`,
    manifest: document.toJS() as Manifest,
  })),
);
const manifests = documents.map(({ manifest }) => manifest);
const ofKind = <K extends Manifest['kind']>(kind: K) =>
  manifests.filter((one): one is Extract<Manifest, { kind: K }> => one.kind === kind);
const workloads: Workload[] = [...ofKind('Deployment'), ...ofKind('StatefulSet')];
const named = workloads.map((workload) => [workload.metadata.name, workload] as const);

const includes = (labels: Record<string, string>, wanted: Record<string, string>): boolean =>
  Object.entries(wanted).every(([name, value]) => labels[name] === value);
const podsOf = (wanted: Record<string, string>): Workload[] =>
  workloads.filter(({ spec }) => includes(spec.template.metadata.labels, wanted));
const containerOf = (workload: Workload) => workload.spec.template.spec.containers[0]!;

describe('deploy/kubernetes', () => {
  it.each(documents)('$place is of its kind', ({ manifest }) => {
    const schema: TSchema | undefined = KINDS[manifest.kind];
    expect(schema, manifest.kind).toBeDefined();
    expect(Errors(schema!, manifest)).toEqual([]);
  });

  it('refuses a slip of the pen', () => {
    const [deployment] = ofKind('Deployment');
    expect(Check(KINDS.Deployment, { ...deployment, spec: { ...deployment!.spec, replica: 3 } })).toBe(false);
  });

  it('applies every file but the secrets, which only you have', () => {
    const { resources } = parse(readFileSync(path.join(FOLDER, 'kustomization.yaml'), 'utf8')) as {
      resources: string[];
    };
    expect([...resources, 'secrets.example.yaml'].sort()).toEqual([...files].sort());
    expect(ofKind('Secret').every(({ stringData }) => JSON.stringify(stringData).includes('CHANGE-ME'))).toBe(
      true,
    );
  });

  it('runs each role, of its own name', () => {
    expect(workloads.map((workload) => containerOf(workload).args)).toEqual(
      workloads.map(({ metadata }) => ['serve', '--role', metadata.name]),
    );
    expect(workloads.map(({ metadata }) => metadata.name).sort()).toEqual([
      'control',
      'creditor',
      'gateway',
      'wallet',
    ]);
  });

  it.each(named)('chooses the pods of %s by the labels that they carry', (_, { spec }) => {
    expect(includes(spec.template.metadata.labels, spec.selector.matchLabels)).toBe(true);
    expect(podsOf(spec.selector.matchLabels)).toHaveLength(1);
  });

  it.each(named)('asks %s on ports that it has, and by the routes that it has', (_, workload) => {
    const { startupProbe, livenessProbe, readinessProbe, ports } = containerOf(workload);
    expect(ports.map(({ name }) => name)).toContain('http');
    expect([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet)).toEqual([
      { path: '/livez', port: 'http' },
      { path: '/livez', port: 'http' },
      { path: '/readyz', port: 'http' },
    ]);
  });

  it.each(named)('gives %s longer to end than its routers take to forget it', (_, workload) => {
    const [, seconds] = containerOf(workload).lifecycle.preStop.exec.command;
    expect(workload.spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds) + 30);
  });

  it.each(named)('mounts in %s only what is there', (_, workload) => {
    const { volumes, containers } = workload.spec.template.spec;
    const claims = 'volumeClaimTemplates' in workload.spec ? workload.spec.volumeClaimTemplates : [];
    const there = [...volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)].sort();
    expect(containers[0]!.volumeMounts.map(({ name }) => name).sort()).toEqual(there);
    const secrets = ofKind('Secret').map(({ metadata }) => metadata.name);
    for (const volume of volumes) {
      if ('secret' in volume) expect(secrets).toContain(volume.secret.secretName);
      if ('persistentVolumeClaim' in volume)
        expect(ofKind('PersistentVolumeClaim').map(({ metadata }) => metadata.name)).toContain(
          volume.persistentVolumeClaim.claimName,
        );
    }
    for (const { valueFrom } of containers[0]!.env ?? []) {
      const secret = ofKind('Secret').find(({ metadata }) => metadata.name === valueFrom.secretKeyRef.name);
      expect(secret?.stringData).toHaveProperty([valueFrom.secretKeyRef.key]);
    }
  });

  it.each(named)('gives %s an environment that the engine reads without a word', (name, workload) => {
    const [{ data }] = ofKind('ConfigMap') as [Extract<Manifest, { kind: 'ConfigMap' }>];
    const { stringData } = ofKind('Secret').find(({ metadata }) => metadata.name === 'hongbao-databases')!;
    const { HONGBAO_SESSION_KEYS_FILE, HONGBAO_LEDGER_FILE, HONGBAO_CONTROL_FILE, ...others } = data;
    // What the files would hold.
    expect([HONGBAO_LEDGER_FILE, HONGBAO_CONTROL_FILE]).toEqual(
      ['ledger', 'control'].map((key) => `/secrets/databases/${key}`),
    );
    expect(HONGBAO_SESSION_KEYS_FILE).toBe('/secrets/sessions/session-keys.json');
    const payout = containerOf(workload).env?.map((entry) => [entry.name, 'https://payout.example/']) ?? [];
    const read = readConfig({
      ...others,
      HONGBAO_ROLE: name,
      HONGBAO_LEDGER: stringData.ledger,
      HONGBAO_CONTROL: stringData.control,
      ...Object.fromEntries(payout),
    });
    expect(read).toMatchObject({ warnings: [] });
  });

  it('has connectors that the engine reads without a word', () => {
    const { stringData } = ofKind('Secret').find(({ metadata }) => metadata.name === 'hongbao-connectors')!;
    expect(readConnectors(stringData['connectors.yaml']!, { DRINKS_TOKEN: 'a' })).toHaveProperty('draft');
  });

  it('keeps the data of whoever journals a promise in a volume that comes back with it', () => {
    const sets = ofKind('StatefulSet');
    expect(sets.map(({ metadata }) => metadata.name)).toContain('gateway');
    for (const { spec } of sets) {
      expect(spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)).toEqual(['data']);
      const headless = ofKind('Service').find(({ metadata }) => metadata.name === spec.serviceName);
      expect(headless?.spec.clusterIP).toBe('None');
    }
  });

  it('leads every service and every disruption budget to pods', () => {
    for (const { spec } of ofKind('Service')) {
      const [workload] = podsOf(spec.selector);
      const ports = containerOf(workload!).ports;
      for (const { port, targetPort } of spec.ports)
        expect(ports).toContainEqual({ name: targetPort, containerPort: port });
    }
    expect(
      ofKind('PodDisruptionBudget')
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(workloads.map(({ metadata }) => metadata.name).sort());
    for (const { metadata, spec } of ofKind('PodDisruptionBudget'))
      expect(podsOf(spec.selector.matchLabels).map((workload) => workload.metadata.name)).toEqual([
        metadata.name,
      ]);
  });

  it('shuts everything, and opens only ports that somebody listens on', () => {
    const policies = ofKind('NetworkPolicy');
    expect(
      policies.some(({ spec }) => !('matchLabels' in spec.podSelector) && !spec.ingress && !spec.egress),
    ).toBe(true);
    const listened = workloads.flatMap((workload) =>
      containerOf(workload).ports.map((port) => port.containerPort),
    );
    for (const { metadata, spec } of policies) {
      for (const { ports } of spec.ingress ?? [])
        for (const { port } of ports) expect(listened, metadata.name).toContain(port);
      if ('matchLabels' in spec.podSelector)
        expect(podsOf(spec.podSelector.matchLabels).length, metadata.name).toBeGreaterThan(0);
    }
  });

  it('opens the way to every server that the configuration names', () => {
    const [{ data }] = ofKind('ConfigMap') as [Extract<Manifest, { kind: 'ConfigMap' }>];
    const open = ofKind('NetworkPolicy').flatMap(({ spec }) =>
      (spec.egress ?? []).flatMap(({ ports }) => ports.map(({ port }) => port)),
    );
    for (const value of Object.values(data))
      for (const [, port] of value.matchAll(/:\/\/[^,\s]*?:(\d+)/g)) expect(open).toContain(Number(port));
  });
});
