import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anOrder } from '../../../test/support/orders.ts';
import { isRefusal } from '../../protocol/failures.ts';
import { decodeSealedToken, encodeSealedToken } from '../../protocol/token-codec.ts';
import type { Fen } from '../../vocabulary/fen.ts';
import type { ActId, CampaignId, PhaseKey } from '../../vocabulary/ids.ts';
import { instantMs } from '../../vocabulary/instant.ts';
import { aloneAs } from '../../vocabulary/person.ts';
import { openKeyring } from './keyring.ts';
import { sealBatch, sealedTokenOf } from './seal-batch.ts';
import { createUnsealer } from './unseal.ts';

const clock = { now: () => instantMs(1_800_000_000_000), monotonicMs: () => 0 };
const freshFolder = () => mkdtempSync(path.join(tmpdir(), 'hongbao-keys-'));
const expectedOf = (person: number) => ({
  person: aloneAs(BigInt(1_000_000 + person) as ActId),
  campaignId: 'gala' as CampaignId,
  phaseKey: 3 as PhaseKey,
});
const codeOf = (answer: unknown) => (isRefusal(answer) ? answer.refused : 'taken');

describe('a seal', () => {
  const keyring = openKeyring(freshFolder(), clock);
  const { unseal } = createUnsealer(keyring);

  it.each([1, 2, 3, 5, 8, 33, 64])('holds every token of a batch of %i, each with its own path', (size) => {
    const orders = Array.from({ length: size }, (_, at) => anOrder({ person: at + 1 }));
    const { batch, sealedTokens } = sealBatch(orders, keyring.active());
    for (const [at, token] of sealedTokens.entries()) {
      expect(unseal(token, expectedOf(at + 1))).toEqual(orders[at]);
      expect(sealedTokenOf(batch.seal, at).equals(token)).toBe(true);
    }
  });

  it('refuses a flipped bit anywhere, each field with the error of its own', () => {
    const { sealedTokens: tokens } = sealBatch(
      [1, 2, 3, 4, 5].map((person) => anOrder({ person })),
      keyring.active(),
    );
    const token = tokens[2]!;
    const fields = decodeSealedToken(token)!;
    const seen = new Map<string, Set<string>>();
    /** Which field's content a byte is; tags, lengths and small numbers are the frame. */
    const fieldOf = (at: number): string => {
      for (const name of ['nonce', 'ciphertext', 'path', 'signature'] as const) {
        const start = token.indexOf(fields[name]);
        if (at < start || at >= start + fields[name].length) continue;
        return name === 'nonce' && at >= start + 8 ? 'place' : name;
      }
      return 'frame';
    };
    for (let bit = 0; bit < token.length * 8; bit += 1) {
      const bytes = Buffer.from(token);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const field = fieldOf(bit >> 3);
      const codes = seen.get(field) ?? new Set();
      seen.set(field, codes.add(codeOf(unseal(bytes, expectedOf(3)))));
    }
    expect(Object.fromEntries([...seen].map(([field, codes]) => [field, [...codes].sort()]))).toEqual({
      frame: ['token-key-unknown', 'token-malformed', 'token-signature-invalid'],
      nonce: ['token-undecryptable'],
      place: ['token-malformed'],
      ciphertext: ['token-undecryptable'],
      path: ['token-signature-invalid'],
      signature: ['token-signature-invalid'],
    });
  });

  it('takes none of 100,000 altered tokens', () => {
    const people = [1, 2, 3, 4, 5, 6, 7];
    const { sealedTokens: tokens } = sealBatch(
      people.map((person) => anOrder({ person })),
      keyring.active(),
    );
    fc.assert(
      fc.property(
        fc.nat(6),
        fc.nat(400),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(3),
        (which, at, by, how) => {
          const token = tokens[which]!;
          const place = at % token.length;
          const bytes = Buffer.from(token);
          bytes[place]! ^= by;
          const altered =
            how === 0
              ? token.subarray(0, place)
              : how === 1
                ? Buffer.concat([token.subarray(0, place), Buffer.from([by]), token.subarray(place)])
                : bytes;
          return altered.equals(token) || isRefusal(unseal(altered, expectedOf(which + 1)));
        },
      ),
      { numRuns: 100_000 },
    );
  });

  it('refuses what is cut, swapped, foreign, of another campaign or phase', () => {
    const { sealedTokens: tokens } = sealBatch(
      [1, 2, 3, 4].map((person) => anOrder({ person })),
      keyring.active(),
    );
    const other = sealBatch(
      [5, 6, 7, 8].map((person) => anOrder({ person })),
      keyring.active(),
    );
    const fields = decodeSealedToken(tokens[0]!)!;
    const others = decodeSealedToken(other.sealedTokens[0]!)!;
    expect(codeOf(unseal(encodeSealedToken({ ...fields, path: others.path }), expectedOf(1)))).toBe(
      'token-signature-invalid',
    );
    expect(codeOf(unseal(encodeSealedToken({ ...fields, signature: others.signature }), expectedOf(1)))).toBe(
      'token-signature-invalid',
    );
    expect(
      codeOf(unseal(encodeSealedToken({ ...fields, ciphertext: others.ciphertext }), expectedOf(1))),
    ).toBe('token-undecryptable');
    expect(codeOf(unseal(tokens[0]!.subarray(0, -1), expectedOf(1)))).toBe('token-malformed');
    expect(codeOf(unseal(tokens[0]!, expectedOf(2)))).toBe('token-foreign');
    const joined = { actId: expectedOf(2).person.actId, aliases: [expectedOf(1).person.actId] };
    expect(codeOf(unseal(tokens[0]!, { ...expectedOf(1), person: joined }))).toBe('taken');
    expect(codeOf(unseal(tokens[0]!, { ...expectedOf(1), campaignId: 'other' as CampaignId }))).toBe(
      'token-wrong-campaign',
    );
    expect(codeOf(unseal(tokens[0]!, { ...expectedOf(1), phaseKey: 2 as PhaseKey }))).toBe(
      'token-wrong-phase',
    );
  });

  it('is refused to an order that nobody could read back from the log', () => {
    const nothing = { ...anOrder({ person: 1 }), amountFen: 0n as Fen };
    const nobody = { ...anOrder({ person: 1 }), actId: 7n as ActId };
    for (const order of [nothing, nobody])
      expect(() => sealBatch([anOrder({ person: 2 }), order], keyring.active())).toThrow(RangeError);
  });

  it('survives 100,000 byte strings', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => isRefusal(unseal(bytes, expectedOf(1)))),
      { numRuns: 100_000 },
    );
  });

  it('keeps two keys valid over a rotation, and refuses the third', () => {
    const folder = freshFolder();
    const ring = openKeyring(folder, clock);
    const unsealer = createUnsealer(ring);
    const [first] = sealBatch([anOrder({ person: 1 })], ring.active()).sealedTokens;
    expect(statSync(path.join(folder, 'keyring.json')).mode & 0o077).toBe(0);
    ring.rotate();
    const [second] = sealBatch([anOrder({ person: 1 })], ring.active()).sealedTokens;
    expect([first, second].map((token) => codeOf(unsealer.unseal(token!, expectedOf(1))))).toEqual([
      'taken',
      'taken',
    ]);
    expect(ring.jwks().keys.map((key) => [key.kid, key.d])).toEqual([
      ['1', undefined],
      ['2', undefined],
    ]);
    ring.rotate();
    expect([first, second].map((token) => codeOf(unsealer.unseal(token!, expectedOf(1))))).toEqual([
      'token-key-unknown',
      'taken',
    ]);
    expect(codeOf(createUnsealer(openKeyring(folder, clock)).unseal(second!, expectedOf(1)))).toBe('taken');
  });
});
