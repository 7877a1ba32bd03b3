import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { RetryableFault } from '../../protocol/failures.ts';

const PASSING = [
  JetStreamApiError,
  JetStreamError,
  errors.TimeoutError,
  errors.RequestError,
  errors.NoRespondersError,
  errors.ConnectionError,
  errors.ClosedConnectionError,
  errors.DrainingConnectionError,
  errors.ProtocolError,
];

/** Whether servers, the network or a moment without a leader may be what it is about; anything else is ours. */
export function mayPass(error: unknown): boolean {
  if (error instanceof RetryableFault || PASSING.some((kind) => error instanceof kind)) return true;
  return error instanceof Error && error.cause !== undefined && mayPass(error.cause);
}
