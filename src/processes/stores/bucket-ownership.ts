import type { Logger } from 'pino';
import type { NatsLink } from '../../engines/jetstream/connection.ts';
import { mayPass } from '../../engines/jetstream/faults.ts';
import { openOwnedLog } from '../../engines/jetstream/owned-log.ts';
import { createOwnership, type OwnershipKeeper } from '../../engines/jetstream/ownership.ts';
import type { ClusterConfig } from '../config-cluster.ts';
import type { BucketOwnership } from './index.ts';
import { untilItIs } from './until.ts';

/** Buckets come and go as creditors come and go: each is read by one owner at a time. */
export function createBucketOwnership(options: {
  link: NatsLink;
  cluster: ClusterConfig;
  memberId: string;
  logger: Logger;
  /** The owner is asked by those who can't reach the book themselves; gives back how to end it. */
  hearMissed: (bucket: number) => () => void;
}): BucketOwnership {
  const { link, cluster, logger } = options;
  let keeper: OwnershipKeeper | undefined;
  return {
    async start(owner, onFatal) {
      const join = () =>
        createOwnership({
          link,
          space: cluster.space,
          buckets: cluster.buckets,
          replicas: cluster.logReplicas,
          memberId: options.memberId,
          onFatal,
          async open({ bucket, epoch, confirm, onLost }) {
            const reader = await openOwnedLog({ link, space: cluster.space, bucket, epoch, confirm, onLost });
            owner.gained(bucket, reader, reader.fences);
            const deafen = options.hearMissed(bucket);
            return {
              async close() {
                deafen();
                await owner.lost(bucket);
                await reader.close();
              },
            };
          },
        });
      // Servers that have just come back have no leader for a while, and refuse everybody.
      keeper = await untilItIs('the owners of the log', logger, join, mayPass);
      await keeper.start();
    },
    stop: async () => keeper?.stop(),
  };
}
