import type { AnnouncedCampaign, Cue } from '../protocol/announcement.ts';
import type { PhaseId, PhaseKey } from '../vocabulary/ids.ts';
import { compileCampaign, contentHash } from './compile.ts';
import { readCampaign } from './read.ts';
import { retime } from './retime.ts';
import type { CampaignSnapshot } from './snapshot.ts';

/** Compiles what control announced. Throws an Error that says what does not hold up; then nothing may be put in force. */
export function compileAnnounced(
  campaigns: readonly AnnouncedCampaign[],
  cues: readonly Cue[],
): ReadonlyMap<string, CampaignSnapshot> {
  return new Map(campaigns.map((one) => [one.id, compileOne(one, cues)]));
}

function compileOne(announced: AnnouncedCampaign, cues: readonly Cue[]): CampaignSnapshot {
  const read = readCampaign(announced.source);
  if ('problems' in read)
    throw new Error(`campaign ${announced.id} can't be read by this version of Hongbao`);
  if (contentHash(read.draft) !== announced.contentHash)
    throw new Error(`campaign ${announced.id} is not the content that was announced`);
  const snapshot = compileCampaign(read.draft, {
    version: announced.version,
    contentHash: announced.contentHash,
    phaseKeys: new Map(Object.entries(announced.phaseKeys) as [PhaseId, PhaseKey][]),
  });
  const retimed = retime(
    snapshot,
    cues.filter((cue) => cue.campaignId === announced.id),
  );
  if ('wrong' in retimed) throw new Error(retimed.wrong);
  return retimed;
}
