import { MAC_BYTES, type Mac } from '../../guard/sealbox.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import type { ActId, CampaignId, PhaseKey, SponsorId } from '../../vocabulary/ids.ts';
import { parseSponsorId } from '../../vocabulary/ids.ts';

/** What a person has won, as the phone carries it from shake to shake (seed 2015): cheap, signed, not the truth. */
export interface ClaimRecord {
  readonly packets: number;
  readonly sponsors: readonly SponsorId[];
}

export interface ClaimOwner {
  readonly campaignId: CampaignId;
  readonly phaseKey: PhaseKey;
  readonly actId: ActId;
}

export const EMPTY_CLAIM: ClaimRecord = { packets: 0, sponsors: [] };
export const CLAIM_BYTES_MAX = 1_024;

const VERSION = 'c1';
const headOf = (owner: ClaimOwner): string =>
  `${VERSION}|${owner.campaignId}|${owner.phaseKey}|${owner.actId}|`;

export function encodeClaim(mac: Mac, owner: ClaimOwner, claim: ClaimRecord): Buffer {
  const body = Buffer.from(`${headOf(owner)}${claim.packets}|${claim.sponsors.join(',')}`, 'latin1');
  return Buffer.concat([body, mac.tag(body)]);
}

/**
 * Reads a claim record that this owner shows. An empty one, or one of another phase or campaign, says nothing; one
 * that was altered, or is somebody else's, is refused.
 */
export function decodeClaim(mac: Mac, owner: ClaimOwner, bytes: Uint8Array): ClaimRecord | Refusal {
  if (bytes.length === 0) return EMPTY_CLAIM;
  if (bytes.length > CLAIM_BYTES_MAX || bytes.length < MAC_BYTES)
    return refuse('claim-invalid', 'no claim record of ours');
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - MAC_BYTES);
  if (!mac.verify(body, bytes.subarray(bytes.length - MAC_BYTES)))
    return refuse('claim-invalid', 'no claim record of ours');
  const parts = body.toString('latin1').split('|');
  const [version, campaignId, phaseKey, actId, packets, sponsors] = parts;
  if (version !== VERSION || parts.length !== 6)
    return refuse('claim-invalid', 'a claim record of another version');
  if (actId !== String(owner.actId)) return refuse('claim-invalid', 'a claim record of another person');
  if (campaignId !== owner.campaignId || phaseKey !== String(owner.phaseKey)) return EMPTY_CLAIM;
  return {
    packets: Number(packets),
    sponsors: sponsors!.split(',').flatMap((id) => parseSponsorId(id) ?? []),
  };
}
