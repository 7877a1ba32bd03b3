import { CampaignFile } from './schema.ts';

/** The published JSON Schema of the campaign file, for editors (yaml-language-server). */
export const campaignJsonSchema = (): string =>
  `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...CampaignFile }, undefined, 2)}\n`;
