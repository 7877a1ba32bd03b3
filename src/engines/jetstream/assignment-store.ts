import { JetStreamApiCodes, JetStreamApiError, StorageType } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { type Assignment, emptyAssignment, type Ownership } from './assignment.ts';
import type { NatsLink } from './connection.ts';
import { openLastingKv } from './lasting-kv.ts';
import { ownersBucket } from './names.ts';
import { WeakStream } from './streams.ts';

const KEY = 'assignment';
const CONFLICT = new Set<number>([
  JetStreamApiCodes.StreamWrongLastSequence,
  JetStreamApiCodes.StreamWrongLastSequenceUnknown,
]);

export interface StoredAssignment {
  readonly assignment: Assignment;
  /** 0: there is none yet. */
  readonly revision: number;
}

export interface AssignmentStore {
  read(): Promise<StoredAssignment>;
  /** Writes if nobody has written since; false when somebody has. A time-out leaves it open: read again. */
  write(assignment: Assignment, revision: number): Promise<boolean>;
}

/**
 * The one document in NATS KV that all creditors of a space share. Read from the stream's leader, never from a
 * follower, and written by compare-and-set on its revision.
 */
export async function openAssignmentStore(
  link: NatsLink,
  options: { readonly space: string; readonly buckets: number; readonly replicas: number },
): Promise<AssignmentStore> {
  const bucket = ownersBucket(options.space);
  const inKv = await openLastingKv(link, bucket, async () => {
    const kv = await new Kvm(link.js).create(bucket, {
      description: 'which creditor owns which bucket',
      history: 1,
      replicas: options.replicas,
      storage: StorageType.File,
      allow_direct: false,
    });
    await refuseWeaker(kv, options.replicas);
    return kv;
  });
  return {
    async read() {
      const entry = await inKv((kv) => kv.get(KEY));
      if (!entry) return { assignment: emptyAssignment(options.buckets), revision: 0 };
      return { assignment: parse(entry.string(), options.buckets), revision: entry.revision };
    },
    async write(assignment, revision) {
      try {
        await inKv((kv) => kv.put(KEY, JSON.stringify(assignment), { previousSeq: revision }));
        return true;
      } catch (error) {
        if (error instanceof JetStreamApiError && CONFLICT.has(error.code)) return false;
        throw error;
      }
    },
  };
}

async function refuseWeaker(kv: KV, replicas: number): Promise<void> {
  const { replicas: has, storage } = await kv.status();
  if (has < replicas || storage !== StorageType.File)
    throw new WeakStream(
      `the KV bucket of owners has ${has} replicas in ${storage} storage, not ${replicas} in files`,
    );
}

function parse(text: string, buckets: number): Assignment {
  const { members, owners } = JSON.parse(text) as {
    members: Assignment['members'];
    owners: { holder?: string; epoch: number }[];
  };
  if (owners.length !== buckets)
    throw new WeakStream(
      `the owners share ${owners.length} buckets, this process says ${buckets}; they never change`,
    );
  return { members, owners: owners.map(({ holder, epoch }): Ownership => ({ holder, epoch })) };
}
