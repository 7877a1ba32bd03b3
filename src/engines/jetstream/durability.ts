import type { NatsLink } from './connection.ts';

/** What is known about when servers fsync what they have acknowledged. */
export interface Durability {
  /** `always`: before the acknowledgement. `interval`: some time after. `unknown`: the server does not tell. */
  readonly sync: 'always' | 'interval' | 'unknown';
  /** For people: what was found, and what to set. */
  readonly says: string;
}

const ADVICE =
  'set `sync_interval: always` under `jetstream`; until then the journals of the gateways are the promise';
const TIMEOUT_MS = 3_000;
const NANOS_A_MS = 1e6;

/**
 * Looks at what servers tell of their fsync, and says the weakest of it. The clients' protocol says nothing of it, so it
 * takes the servers' monitoring addresses (`http://host:8222`); before 2.10 they fsync every two minutes whatever they
 * are told.
 */
export async function durabilityOf(link: NatsLink, monitoringUrls: readonly string[]): Promise<Durability> {
  const version = link.nc.info?.version ?? 'unknown';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 10)) {
    const says = `nats-server ${version} fsyncs every two minutes; from 2.10 on, ${ADVICE}`;
    return { sync: 'interval', says };
  }
  const found = await Promise.all(monitoringUrls.map((url) => fromMonitoring(version, url)));
  const weakest = ['interval', 'unknown', 'always'].map((sync) => found.find((one) => one.sync === sync));
  return (
    weakest.find((one) => one !== undefined) ?? {
      sync: 'unknown',
      says: `nats-server ${version} tells it at its monitoring address only (HONGBAO_LOG_MONITORING); ${ADVICE}`,
    }
  );
}

interface Varz {
  readonly jetstream?: {
    readonly config?: { readonly sync_always?: boolean; readonly sync_interval?: number };
  };
}

async function fromMonitoring(version: string, url: string): Promise<Durability> {
  try {
    const answer = await fetch(new URL('/varz', url), {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: 'error',
    });
    const config = ((await answer.json()) as Varz).jetstream?.config;
    if (config?.sync_always)
      return { sync: 'always', says: `nats-server ${version} fsyncs before it acknowledges` };
    const everyMs = (config?.sync_interval ?? 0) / NANOS_A_MS;
    return everyMs > 0
      ? { sync: 'interval', says: `nats-server ${version} fsyncs every ${everyMs} ms; ${ADVICE}` }
      : { sync: 'unknown', says: `nats-server ${version} does not say when it fsyncs; ${ADVICE}` };
  } catch (error) {
    return {
      sync: 'unknown',
      says: `${new URL(url).host} did not answer (${(error as Error).message}); ${ADVICE}`,
    };
  }
}
