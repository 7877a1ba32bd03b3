import { randomBytes } from 'node:crypto';
import type { WithdrawalId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';

/** UUID v7 (RFC 9562): the time in front, so that keys of one night lie together; the rest can't be guessed. */
export function newWithdrawalId(nowMs: InstantMs): WithdrawalId {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return parts.join('-') as WithdrawalId;
}
