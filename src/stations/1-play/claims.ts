import { MAC_BYTES, type Mac } from '../../guard/sealbox.ts';
import { type Refusal, refuse } from '../../protocol/failures.ts';
import type { ActId, CampaignId, PhaseKey, RainId, SceneId, SponsorId } from '../../vocabulary/ids.ts';
import { parseRainId, parseSceneId, parseSponsorId } from '../../vocabulary/ids.ts';
import { idsOf, type Person } from '../../vocabulary/person.ts';

/** What a person has won, as the phone carries it from shake to shake (seed 2015): cheap, signed, not the truth. */
export interface ClaimRecord {
  readonly packets: number;
  readonly sponsors: readonly SponsorId[];
  /** What was won in the round that is on: no other gateway deals it to this person again, whatever it can look up. */
  readonly round?: RoundWins;
}

export interface RoundWins {
  readonly rainId: RainId;
  readonly sceneIds: readonly SceneId[];
}

export interface ClaimOwner {
  readonly campaignId: CampaignId;
  readonly phaseKey: PhaseKey;
  readonly actId: ActId;
}

/** Who shows one: a record of an id that was joined to this person's is as good as its own. */
export type ClaimShower = ClaimOwner & Person;

export const EMPTY_CLAIM: ClaimRecord = { packets: 0, sponsors: [] };
export const CLAIM_BYTES_MAX = 1_024;

/** Without a round, and with one. */
const PLAIN = 'c1';
const WITH_ROUND = 'c2';
const ROUND_SCENES_MAX = 8;
/** As it is written: no sign, no exponent, and far below 2^53. */
const COUNT = /^(0|[1-9][0-9]{0,11})$/;
const headOf = (version: string, owner: ClaimOwner): string =>
  `${version}|${owner.campaignId}|${owner.phaseKey}|${owner.actId}|`;
const roundText = ({ rainId, sceneIds }: RoundWins): string =>
  `${rainId}:${sceneIds.slice(0, ROUND_SCENES_MAX).join(',')}`;

/**
 * At most CLAIM_BYTES_MAX, or the person who won most could not play on: sponsors that do not fit are left out. The
 * record then only knows less than the gateway's memory and the order numbers do; the count of packets stays whole.
 */
export function encodeClaim(mac: Mac, owner: ClaimOwner, claim: ClaimRecord): Buffer {
  let text = claim.round
    ? `${headOf(WITH_ROUND, owner)}${claim.packets}|${roundText(claim.round)}|`
    : `${headOf(PLAIN, owner)}${claim.packets}|`;
  for (const [at, sponsor] of claim.sponsors.entries()) {
    const more = at === 0 ? sponsor : `,${sponsor}`;
    if (text.length + more.length > CLAIM_BYTES_MAX - MAC_BYTES) break;
    text += more;
  }
  const body = Buffer.from(text, 'latin1');
  return Buffer.concat([body, mac.tag(body)]);
}

/**
 * Reads a claim record that this owner shows. An empty one, or one of another phase or campaign, says nothing; one
 * that was altered, or is somebody else's, is refused.
 */
export function decodeClaim(mac: Mac, owner: ClaimShower, bytes: Uint8Array): ClaimRecord | Refusal {
  if (bytes.length === 0) return EMPTY_CLAIM;
  if (bytes.length > CLAIM_BYTES_MAX || bytes.length < MAC_BYTES)
    return refuse('claim-invalid', 'no claim record of ours');
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - MAC_BYTES);
  if (!mac.verify(body, bytes.subarray(bytes.length - MAC_BYTES)))
    return refuse('claim-invalid', 'no claim record of ours');
  const parts = body.toString('latin1').split('|');
  const [version, campaignId, phaseKey, actId, packets] = parts;
  const hasRound = version === WITH_ROUND;
  if ((!hasRound && version !== PLAIN) || parts.length !== (hasRound ? 7 : 6))
    return refuse('claim-invalid', 'a claim record of another version');
  if (!idsOf(owner).some((id) => actId === String(id)))
    return refuse('claim-invalid', 'a claim record of another person');
  if (campaignId !== owner.campaignId || phaseKey !== String(owner.phaseKey)) return EMPTY_CLAIM;
  if (!COUNT.test(packets!)) return refuse('claim-invalid', 'a claim record without a count');
  const round = hasRound ? readRound(parts[5]!) : undefined;
  if (hasRound && !round) return refuse('claim-invalid', 'a claim record without its round');
  return {
    packets: Number(packets),
    sponsors: parts
      .at(-1)!
      .split(',')
      .flatMap((id) => parseSponsorId(id) ?? []),
    ...(round ? { round } : {}),
  };
}

function readRound(text: string): RoundWins | undefined {
  const [rain, scenes, more] = text.split(':');
  const rainId = COUNT.test(rain!) ? parseRainId(Number(rain)) : undefined;
  if (!rainId || scenes === undefined || more !== undefined) return undefined;
  return { rainId, sceneIds: scenes.split(',').flatMap((id) => parseSceneId(id) ?? []) };
}
