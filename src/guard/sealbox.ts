import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Closes small things that a person carries for us, so that they can neither be read nor altered. */
export interface Sealbox {
  seal(plain: Uint8Array): Buffer;
  /** Undefined for whatever was not sealed under this key and context. */
  open(box: Uint8Array): Buffer | undefined;
}

/** AES-256-GCM with a random nonce in front; `context` binds a box to its use. Good for 2^32 boxes a key. */
export function createSealbox(key: Buffer, context: string): Sealbox {
  const secret = createSecretKey(key);
  const aad = Buffer.from(context);
  return {
    seal(plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(aad);
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(box) {
      if (box.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', secret, box.subarray(0, NONCE_BYTES)).setAAD(aad);
      decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
      try {
        return Buffer.concat([
          decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES)),
          decipher.final(),
        ]);
      } catch {
        return undefined;
      }
    },
  };
}

/** A keyed checksum for what may be read but not altered. */
export interface Mac {
  /** 16 bytes. */
  tag(data: Uint8Array): Buffer;
  verify(data: Uint8Array, tag: Uint8Array): boolean;
}

export const MAC_BYTES = 16;

export function createMac(key: Buffer, context: string): Mac {
  const secret = createSecretKey(createHmac('sha256', key).update(context).digest());
  const tag = (data: Uint8Array) => createHmac('sha256', secret).update(data).digest().subarray(0, MAC_BYTES);
  return { tag, verify: (data, given) => given.length === MAC_BYTES && timingSafeEqual(tag(data), given) };
}
