import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMac, MAC_BYTES } from '../../guard/sealbox.ts';
import { isRefusal } from '../../protocol/failures.ts';
import type { ActId, CampaignId, PhaseKey, RainId, SceneId, SponsorId } from '../../vocabulary/ids.ts';
import {
  CLAIM_BYTES_MAX,
  type ClaimOwner,
  type ClaimRecord,
  decodeClaim,
  EMPTY_CLAIM,
  encodeClaim,
} from './claims.ts';

const mac = createMac(Buffer.alloc(32, 7), 'claims');
const owner: ClaimOwner = {
  campaignId: 'gala' as CampaignId,
  phaseKey: 3 as PhaseKey,
  actId: 9_223_372_036_854_775_807n as ActId,
};
const won: ClaimRecord = {
  packets: 2,
  sponsors: ['tea' as SponsorId, 'panda-bank' as SponsorId],
  round: { rainId: 7 as RainId, sceneIds: ['tea-rain' as SceneId] },
};
const record = encodeClaim(mac, owner, won);
const read = (bytes: Uint8Array, by = owner) => decodeClaim(mac, { aliases: [], ...by }, bytes);
const codeOf = (bytes: Uint8Array, by = owner, withMac = mac) => {
  const claim = decodeClaim(withMac, { aliases: [], ...by }, bytes);
  return isRefusal(claim) ? claim.refused : 'read';
};

const idPart = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/);
const ownerArbitrary = fc.record({
  campaignId: idPart.map((id) => id as CampaignId),
  phaseKey: fc.integer({ min: 1, max: 2 ** 31 - 1 }).map((key) => key as PhaseKey),
  actId: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map((id) => id as ActId),
});
const sponsorsArbitrary = fc.uniqueArray(
  idPart.map((id) => id as SponsorId),
  { maxLength: 12 },
);
const roundArbitrary = fc.record({
  rainId: fc.integer({ min: 1, max: 2 ** 31 - 1 }).map((id) => id as RainId),
  sceneIds: fc.uniqueArray(
    idPart.map((id) => id as SceneId),
    { maxLength: 8 },
  ),
});
const claimArbitrary = fc.record(
  {
    packets: fc.integer({ min: 0, max: 10_000_000_000 }),
    sponsors: sponsorsArbitrary,
    round: roundArbitrary,
  },
  { requiredKeys: ['packets', 'sponsors'] },
);

/** A record of ours with bytes changed, cut out, put in, swapped or repeated. */
const damaged = fc
  .array(fc.tuple(fc.constantFrom('set', 'cut', 'insert', 'repeat'), fc.nat(), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  })
  .map((edits) => {
    const bytes = [...record];
    for (const [edit, place, value] of edits) {
      const at = place % (bytes.length + 1);
      if (edit === 'set' && at < bytes.length) bytes[at] = value;
      if (edit === 'cut') bytes.splice(at, 1 + (value % 40));
      if (edit === 'insert') bytes.splice(at, 0, value);
      if (edit === 'repeat') bytes.splice(at, 0, ...bytes.slice(at, at + value));
    }
    return Buffer.from(bytes);
  });

describe('a claim record', () => {
  it('comes back as it was given, for every owner', () => {
    fc.assert(
      fc.property(ownerArbitrary, claimArbitrary, (by, claim) => {
        expect(read(encodeClaim(mac, by, claim), by)).toEqual(claim);
      }),
      { numRuns: 5_000 },
    );
  });

  it('is nothing won when the phone shows none', () => {
    expect(read(new Uint8Array())).toEqual(EMPTY_CLAIM);
  });

  it.each([
    ['of another person', { ...owner, actId: 1n as ActId }, 'claim-invalid'],
    ['of another person whose number begins alike', { ...owner, actId: 922n as ActId }, 'claim-invalid'],
  ])('%s is refused', (_, by, code) => {
    expect(codeOf(record, by)).toBe(code);
  });

  it.each([
    ['of another campaign', { ...owner, campaignId: 'gala-2' as CampaignId }],
    [
      'of another phase: what a drill gave does not count on the night',
      { ...owner, phaseKey: 4 as PhaseKey },
    ],
  ])('%s says nothing', (_, by) => {
    expect(read(record, by)).toEqual(EMPTY_CLAIM);
  });

  it('is refused under another key, or the same key for another use', () => {
    expect(codeOf(record, owner, createMac(Buffer.alloc(32, 8), 'claims'))).toBe('claim-invalid');
    expect(codeOf(record, owner, createMac(Buffer.alloc(32, 7), 'tickets'))).toBe('claim-invalid');
  });

  it('is refused when it has another version or another number of parts, though we signed it', () => {
    const signed = (text: string) => Buffer.concat([Buffer.from(text), mac.tag(Buffer.from(text))]);
    const { campaignId, phaseKey, actId } = owner;
    expect(codeOf(signed(`c2|${campaignId}|${phaseKey}|${actId}|1|tea`))).toBe('claim-invalid');
    expect(codeOf(signed(`c1|${campaignId}|${phaseKey}|${actId}|1`))).toBe('claim-invalid');
    expect(codeOf(signed(`c1|${campaignId}|${phaseKey}|${actId}|1|tea|more`))).toBe('claim-invalid');
    expect(codeOf(signed(`c2|${campaignId}|${phaseKey}|${actId}|1|7:tea|tea`))).toBe('read');
    for (const round of ['', '7', 'x:tea', '0:tea', '-1:tea', '1.5:tea', '7:tea:more', '99999999999:tea'])
      expect(codeOf(signed(`c2|${campaignId}|${phaseKey}|${actId}|1|${round}|tea`))).toBe('claim-invalid');
    for (const packets of ['', '-1', '1.5', '1e3', 'NaN', ' 1', '99999999999999999999'])
      expect(codeOf(signed(`c1|${campaignId}|${phaseKey}|${actId}|${packets}|tea`))).toBe('claim-invalid');
  });

  it('is refused at every shorter length, and with any one bit turned', () => {
    for (let length = 1; length < record.length; length += 1)
      expect(codeOf(record.subarray(0, length))).toBe('claim-invalid');
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const turned = Buffer.from(record);
      turned[bit >> 3]! ^= 1 << (bit & 7);
      expect(codeOf(turned)).toBe('claim-invalid');
    }
  });

  it('never grows past what is read back, whatever a person has won', () => {
    const sponsors = Array.from({ length: 500 }, (_, at) => `sponsor-${at}`.padEnd(32, 'x') as SponsorId);
    const bytes = encodeClaim(mac, owner, { packets: 500, sponsors });
    expect(bytes.length).toBeLessThanOrEqual(CLAIM_BYTES_MAX);
    const claim = read(bytes) as ClaimRecord;
    expect(claim.packets).toBe(500);
    expect(claim.sponsors.length).toBeGreaterThan(20);
    expect(sponsors.slice(0, claim.sponsors.length)).toEqual(claim.sponsors);
    expect(codeOf(Buffer.alloc(CLAIM_BYTES_MAX + 1))).toBe('claim-invalid');
  });

  it('is read or refused and never throws: 60,000 damaged records, none of them believed', () => {
    fc.assert(
      fc.property(damaged, (bytes) => {
        if (bytes.length > 0 && !bytes.equals(record)) expect(codeOf(bytes)).toBe('claim-invalid');
      }),
      { numRuns: 60_000 },
    );
  }, 60_000);

  it('is read or refused and never throws: 50,000 strings of bytes, bodies that we signed among them', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .array(
          fc.constantFrom(
            'c1',
            'c2',
            '7:',
            '|',
            'gala',
            '3',
            String(owner.actId),
            ',',
            'tea',
            '-1',
            '\u00ff',
            '1',
          ),
          { maxLength: 14 },
        )
        .map((parts) => Buffer.from(parts.join(''), 'latin1')),
    );
    fc.assert(
      fc.property(body, fc.boolean(), (bytes, isSigned) => {
        const shown = isSigned ? Buffer.concat([bytes, mac.tag(bytes)]) : bytes;
        const claim = read(shown);
        if (isRefusal(claim)) return;
        expect(isSigned || shown.length === 0).toBe(true);
        expect(Number.isSafeInteger(claim.packets) && claim.packets >= 0).toBe(true);
      }),
      { numRuns: 50_000 },
    );
    expect(record.length).toBeGreaterThan(MAC_BYTES);
  }, 60_000);
});
