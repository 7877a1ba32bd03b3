import { describe, expect, it } from 'vitest';
import type { Service } from './binaries.ts';
import { ensure, type Machine, thisMachine } from './ensure.ts';

/** A machine that has some servers, and may or may not let us install the others. */
function machineWith(
  present: readonly Service[],
  options: { mayInstall: boolean; problem?: string; newerNats?: 'comes' | 'stays away' },
) {
  const has = new Set<Service>(present);
  const said: string[] = [];
  const installed: string[][] = [];
  const fetched: string[] = [];
  const names: Readonly<Record<string, Service>> = {
    'redis-server': 'redis',
    'nats-server': 'nats',
    postgresql: 'postgres',
  };
  const machine: Machine = {
    isInstalled: (service) => has.has(service),
    mayInstall: options.mayInstall,
    install(packages) {
      installed.push([...packages]);
      if (options.problem) return options.problem;
      for (const name of packages) has.add(names[name]!);
      return undefined;
    },
    releaseWithNewerNats: () => (options.newerNats ? 'trixie' : undefined),
    fetchNewerNats(release) {
      fetched.push(release);
      if (options.newerNats === 'stays away') return 'no route to the mirror';
      has.add('nats');
      return undefined;
    },
    testsThatNeed: (service) => [`test/${service}.test.ts`],
    say: (line) => said.push(line),
  };
  return { machine, said, installed, fetched };
}

describe('seeing to it that the servers are there', () => {
  it('says and does nothing when nothing is missing', () => {
    const { machine, said, installed } = machineWith(['redis', 'nats', 'postgres'], { mayInstall: true });
    expect(ensure(machine)).toEqual([]);
    expect([said, installed]).toEqual([[], []]);
  });

  it('installs exactly what is missing, in one go, where it may', () => {
    const { machine, installed } = machineWith(['postgres'], { mayInstall: true });
    expect(ensure(machine)).toEqual([]);
    expect(installed).toEqual([['redis-server', 'nats-server']]);
  });

  it('names what to install and what is skipped without it, where it may not', () => {
    const { machine, said, installed } = machineWith(['redis', 'postgres'], { mayInstall: false });
    expect(ensure(machine)).toEqual(['nats']);
    expect(installed).toEqual([]);
    expect(said.join('\n')).toMatch(
      /nats is missing: .*nats-server[\s\S]*skipped without it: test\/nats\.test\.ts/,
    );
  });

  it('repeats what the installer said when it failed, and goes on', () => {
    const { machine, said } = machineWith([], { mayInstall: true, problem: 'no route to the mirror' });
    expect(ensure(machine)).toEqual(['redis', 'nats', 'postgres']);
    expect(said).toContain('no route to the mirror');
  });

  it('sets a newer nats-server beside where this release’s own is old, and installs none then', () => {
    const { machine, fetched, installed } = machineWith(['redis', 'postgres'], {
      mayInstall: true,
      newerNats: 'comes',
    });
    expect(ensure(machine)).toEqual([]);
    expect([fetched, installed]).toEqual([['trixie'], []]);
  });

  it('goes on with this release’s own nats-server when the newer one can’t be had, and says so', () => {
    const { machine, said, installed } = machineWith(['redis', 'postgres'], {
      mayInstall: true,
      newerNats: 'stays away',
    });
    expect(ensure(machine)).toEqual([]);
    expect(installed).toEqual([['nats-server']]);
    expect(said.join('\n')).toMatch(/no route to the mirror\n.*this release's own/);
  });

  it('fetches nothing where it may not', () => {
    const { machine, fetched } = machineWith(['redis', 'nats', 'postgres'], {
      mayInstall: false,
      newerNats: 'comes',
    });
    expect(ensure(machine)).toEqual([]);
    expect(fetched).toEqual([]);
  });

  it('reads from the tests which of them need a server', () => {
    const { testsThatNeed } = thisMachine(() => {});
    expect(testsThatNeed('redis')).toContain('tools/services.test.ts');
    expect(testsThatNeed('nats')).not.toContain('tools/services/ensure.test.ts');
  });
});
