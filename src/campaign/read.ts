import { checkMeaning } from './check-meaning.ts';
import { type ReadFile, readYamlFile } from './read-yaml.ts';
import { type CampaignDraft, CampaignFile } from './schema.ts';

const CAMPAIGN = { schema: CampaignFile, what: 'a campaign, as in examples/gala.yaml', checkMeaning };

/** Reads a campaign file: the draft, or every mistake that is in it. Never throws. */
export const readCampaign = (text: string): ReadFile<CampaignDraft> => readYamlFile(text, CAMPAIGN);
