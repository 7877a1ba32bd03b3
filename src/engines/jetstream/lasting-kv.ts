import type { KV } from '@nats-io/kv';
import { createAbsence } from './absence.ts';
import type { NatsLink } from './connection.ts';
import { infoOf } from './streams.ts';

/** A KV bucket that is made anew when the servers have lost it, as the streams are. What fails throws all the same. */
export async function openLastingKv(
  link: NatsLink,
  bucket: string,
  open: () => Promise<KV>,
): Promise<<Result>(act: (kv: KV) => Promise<Result>) => Promise<Result>> {
  const absence = createAbsence(link.clock);
  let kv = await open();

  async function lookForIt(): Promise<void> {
    const found = await infoOf(link, `KV_${bucket}`).catch(() => 'unknown' as const);
    if (found !== undefined) return absence.broken();
    if (!absence.confirm()) return;
    link.logger.error({ bucket }, 'the servers have lost a KV bucket: it is made anew');
    kv = await open();
    absence.broken();
  }

  return async (act) => {
    try {
      return await act(kv);
    } catch (error) {
      await lookForIt().catch(() => {});
      throw error;
    }
  };
}
