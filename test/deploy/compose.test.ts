import { existsSync, readFileSync } from 'node:fs';
import { Check, Errors } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../src/processes/config.ts';
import { Compose, type ComposeService } from './compose-schema.ts';

const text = readFileSync('compose.yaml', 'utf8');

function read(): Compose {
  const whole = parse(text, { merge: true }) as Record<string, unknown>;
  const compose = Object.fromEntries(Object.entries(whole).filter(([key]) => !key.startsWith('x-')));
  expect(Errors(Compose, compose)).toEqual([]);
  if (!Check(Compose, compose)) throw new Error('the errors above');
  return compose;
}

const compose = read();
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.image === 'hongbao');

/** What compose fills in from the shell. */
const filled = (service: ComposeService): Record<string, string> =>
  Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([name, value]) => [
      name,
      value.replaceAll(/\$\{HONGBAO_DB_PASSWORD[^}]*\}/g, 'drawn-by-lot'),
    ]),
  );

describe('compose.yaml', () => {
  it('refuses a slip of the pen', () => {
    const wrong = { ...compose, services: { redis: { image: 'redis', comand: ['redis-server'] } } };
    expect(Check(Compose, wrong)).toBe(false);
  });

  it('runs every role: two gateways, two creditors, a wallet, control', () => {
    const roles = ours.map(([, { command }]) => command!.slice(0, 2).concat(command![2]!));
    expect(roles.map(([verb, flag]) => [verb, flag])).toEqual(roles.map(() => ['serve', '--role']));
    expect(roles.map(([, , role]) => role).sort()).toEqual(
      ['gateway', 'gateway', 'creditor', 'creditor', 'wallet', 'control'].sort(),
    );
  });

  it.each(ours)('gives %s an environment that the engine reads without a word', (_, service) => {
    const env = filled(service);
    const { HONGBAO_SESSION_KEYS_FILE: file, ...others } = env;
    expect(file).toBe('/run/secrets/session-keys');
    const role = service.command![2]!;
    const read = readConfig({ ...others, HONGBAO_ROLE: role });
    expect(read).toMatchObject({ warnings: [] });
  });

  it('mentions nothing that it does not have', () => {
    for (const [name, service] of services) {
      const networks = Array.isArray(service.networks)
        ? service.networks
        : Object.keys(service.networks ?? {});
      expect(Object.keys(compose.networks), name).toEqual(expect.arrayContaining(networks));
      expect(Object.keys(compose.secrets), name).toEqual(expect.arrayContaining(service.secrets ?? []));
      expect(Object.keys(compose.services), name).toEqual(
        expect.arrayContaining(Object.keys(service.depends_on ?? {})),
      );
      for (const { source } of service.configs ?? []) expect(compose.configs, name).toHaveProperty(source);
      for (const volume of service.volumes ?? [])
        expect(compose.volumes, name).toHaveProperty([volume.split(':')[0]!]);
      for (const [dependency, { condition }] of Object.entries(service.depends_on ?? {}))
        if (condition === 'service_healthy')
          expect(compose.services[dependency], dependency).toHaveProperty('healthcheck');
    }
    for (const { file } of Object.values(compose.configs)) expect(existsSync(file), file).toBe(true);
  });

  it('has no volume, and no server, that nobody uses', () => {
    const used = services.flatMap(([, service]) =>
      (service.volumes ?? []).map((volume) => volume.split(':')[0]!),
    );
    expect([...new Set(used)].sort()).toEqual(Object.keys(compose.volumes).sort());
    const env = ours.flatMap(([, service]) => Object.values(filled(service))).join(' ');
    for (const [name] of services.filter(([name]) => /^(nats|shard|control-database)/.test(name)))
      expect(env).toContain(`${name}:`);
  });

  it('gives every gateway a journal of its own, and nobody else’s', () => {
    const data = ours.map(([, service]) =>
      (service.volumes ?? []).find((volume) => volume.endsWith(':/data')),
    );
    const kept = data.filter((volume) => volume !== undefined);
    expect(new Set(kept).size).toBe(kept.length);
    for (const [name, service] of ours)
      if (service.command![2] === 'gateway') expect(service.volumes).toContain(`${name}:/data`);
  });

  it('shows itself to this machine only, on different ports, and knows no default password', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []).map((port) => port.split(':')[1]);
    expect(new Set(ports).size).toBe(ports.length);
    expect(text).toContain('${HONGBAO_DB_PASSWORD:?');
    expect(text).not.toMatch(/PASSWORD: *["']?[A-Za-z0-9]/);
  });

  it('has room in each NATS for what the streams of all buckets reserve', () => {
    const conf = readFileSync('deploy/compose/nats.conf', 'utf8');
    const gigabytes = Number(/max_file_store: (\d+)GB/.exec(conf)![1]);
    const read = readConfig({ ...filled(ours[0]![1]), HONGBAO_SESSION_KEYS_FILE: '' });
    if (!('config' in read)) throw new Error(JSON.stringify(read));
    const { buckets, logBucketBytes } = read.config.cluster!;
    expect(gigabytes * 2 ** 30).toBeGreaterThan(buckets * logBucketBytes);
  });

  it('puts the Redis nodes where the cluster is made and the book is looked for', () => {
    const addresses = services.flatMap(([, { networks }]) =>
      Array.isArray(networks) || networks === undefined
        ? []
        : Object.values(networks).map((at) => at.ipv4_address),
    );
    expect(addresses).toHaveLength(6);
    const script = readFileSync('deploy/compose/make-redis-cluster.sh', 'utf8');
    for (const address of addresses) expect(script).toContain(address);
    const book = filled(ours[0]![1]).HONGBAO_BOOK!;
    for (const at of book.matchAll(/[0-9.]+(?=:6379)/g)) expect(addresses).toContain(at[0]);
  });
});

describe('the Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8').split('\n');

  it('copies only what is there', () => {
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(copied.length).toBeGreaterThan(5);
    for (const file of copied) expect(existsSync(file), file).toBe(true);
  });

  it('brings everything that the package says it has', () => {
    const { files } = JSON.parse(readFileSync('package.json', 'utf8')) as { files: string[] };
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM '))).join('\n');
    // What is built comes as a whole.
    const needed = files
      .filter((name) => !name.endsWith('.md'))
      .map((name) => name.replace(/^dist\/.*/, 'COPY --from=build /app/dist'));
    for (const file of needed) expect(last, file).toContain(file);
  });

  it('never runs as root', () => {
    expect(lines.findLast((line) => line.startsWith('USER '))).toBe('USER 10001:10001');
  });
});
