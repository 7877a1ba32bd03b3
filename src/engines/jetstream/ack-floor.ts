import { type ConsumerInfo, JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { RetryableFault } from '../../protocol/failures.ts';
import type { LogSequence } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { epochOfConsumer } from './names.ts';

const NAMES_TIMEOUT_MS = 3_000;
const FAULT_DELAY_MS = 500;

export interface OwnerConsumer {
  readonly name: string;
  readonly epoch: number;
  /** Everything up to here was acknowledged, by this owner or the ones before it. */
  readonly floor: LogSequence;
}

/**
 * The consumers that owners of a stream have made; one, but for the moments of a hand-over. Acknowledgements are only
 * ever given for what is in the ledger, so the highest floor of them all is true, whoever gave it.
 */
export async function ownerConsumers(link: NatsLink, stream: string): Promise<OwnerConsumer[]> {
  const found: OwnerConsumer[] = [];
  for (const name of await consumerNames(link, stream)) {
    const epoch = epochOfConsumer(name);
    const floor = epoch === undefined ? undefined : await floorOfConsumer(link, stream, name);
    if (epoch !== undefined && floor !== undefined) found.push({ name, epoch, floor });
  }
  return found.sort((a, b) => b.epoch - a.epoch);
}

/**
 * By name, not as a list of infos: that one waits for every consumer's leader, and a forgotten one that lay on a
 * server which is gone would keep the bucket from ever being taken.
 */
async function consumerNames(link: NatsLink, stream: string): Promise<readonly string[]> {
  const answer = await link.nc.request(`$JS.API.CONSUMER.NAMES.${stream}`, '{}', {
    timeout: NAMES_TIMEOUT_MS,
  });
  const { consumers, error } = answer.json<{
    consumers?: string[];
    error?: { description: string };
  }>();
  if (error) throw new RetryableFault('log-unavailable', `${stream}: ${error.description}`, FAULT_DELAY_MS);
  return consumers ?? [];
}

export const highestFloor = (consumers: readonly OwnerConsumer[]): LogSequence =>
  Math.max(0, ...consumers.map((one) => one.floor));

/** A consumer starts behind what its predecessor had acknowledged; before its first acknowledgement that counts. */
function floorOf(info: ConsumerInfo): LogSequence {
  return Math.max(info.ack_floor.stream_seq, (info.config.opt_start_seq ?? 1) - 1);
}

/** Undefined when there is no such consumer any more. */
export async function floorOfConsumer(
  link: NatsLink,
  stream: string,
  name: string,
): Promise<LogSequence | undefined> {
  try {
    return floorOf(await link.jsm.consumers.info(stream, name));
  } catch (error) {
    if (isNoConsumer(error)) return undefined;
    throw error;
  }
}

export const isNoConsumer = (error: unknown): boolean =>
  error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound;
