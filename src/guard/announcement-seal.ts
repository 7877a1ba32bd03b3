import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { type Announcement, decodeAnnouncement, encodeAnnouncement } from '../protocol/announcement.ts';

/** Ed25519 over context and body: an envelope is signature (64 bytes), then body. */
export interface AnnouncementSeal {
  seal(announcement: Announcement): Buffer;
  /** Undefined when the signature does not hold or the body is none of ours. */
  open(envelope: Uint8Array): Announcement | undefined;
}

const CONTEXT = Buffer.from('hongbao.announcement.v1\0');
const SIGNATURE_BYTES = 64;
/** RFC 8410: a PKCS #8 wrapping of a 32-byte Ed25519 seed. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** @param seed 32 bytes of the keyring: control signs with it, everybody else only checks. */
export function createAnnouncementSeal(seed: Buffer): AnnouncementSeal {
  const signing: KeyObject = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const verifying = createPublicKey(signing);
  const signed = (body: Uint8Array): Buffer => Buffer.concat([CONTEXT, body]);
  return {
    seal(announcement) {
      const body = encodeAnnouncement(announcement);
      return Buffer.concat([sign(null, signed(body), signing), body]);
    },
    open(envelope) {
      const body = envelope.subarray(SIGNATURE_BYTES);
      if (body.length === 0 || !verify(null, signed(body), verifying, envelope.subarray(0, SIGNATURE_BYTES)))
        return undefined;
      return decodeAnnouncement(body);
    },
  };
}
