import { describe, expect, it } from 'vitest';
import { testCampaign } from '../../test/support/campaign.ts';
import type { Scene } from '../campaign/snapshot.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { SceneId } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import { type ReissueHeader, readReissueHeader, readReissueLine } from './reissue-line.ts';

const MADE_AT_MS = 1_800_000_000_000;
const cash = testCampaign.scenes.get('cash' as SceneId)!;
const show: Scene = { ...cash, id: 'show' as SceneId, amount: { rule: 'given' }, packetCapFen: 500n as Fen };
const campaign = { ...testCampaign, scenes: new Map([...testCampaign.scenes, [show.id, show]]) };
const context = {
  campaign: (id: string) => (id === 'gala' ? campaign : undefined),
  campaignIds: ['gala'],
  madeAtMs: instantMs(MADE_AT_MS),
  isUserName: (user: unknown): user is string => typeof user === 'string' && /^[^\0]{1,128}$/.test(user),
};
const HEADER = readReissueHeader([
  'campaign',
  'scene',
  'rain',
  'app',
  'user',
  'amountFen',
  'drawnAt',
]) as ReissueHeader;
const read = (text: string) => readReissueLine(HEADER, text.split(','), context);

describe('the header of a list', () => {
  it.each([
    ['campaign,scene,rain,app', 'lacks user'],
    ['campaign,scene,rain,app,usr', 'did you mean "user"?'],
    ['campaign,scene,rain,app,user,user', 'column user twice'],
    ['a', 'its columns are'],
  ])('%s', (text, wrong) =>
    expect(readReissueHeader(text.split(','))).toEqual({ wrong: expect.stringContaining(wrong) }),
  );

  it('takes its columns in any order', () =>
    expect(readReissueHeader(['user', 'app', 'note', 'rain', 'scene', 'campaign'])).toEqual([
      'user',
      'app',
      'note',
      'rain',
      'scene',
      'campaign',
    ]));
});

describe('a line of a list', () => {
  it('is read, its drawing time is that of the list when it names none', () => {
    expect(read('gala,show,3,demo, ann ,500,')).toEqual({
      campaignId: 'gala',
      sceneId: 'show',
      rainId: 3,
      appId: 1,
      user: ' ann ',
      amountFen: 500n,
      drawnAtMs: MADE_AT_MS,
    });
    expect(read('gala,cash,3,demo,ann,,1799950000000')).toMatchObject({
      amountFen: undefined,
      drawnAtMs: 1_799_950_000_000,
    });
  });

  it.each([
    ['gale,show,3,demo,ann,5,', 'did you mean "gala"?'],
    ['gala,shw,3,demo,ann,5,', 'did you mean "show"?'],
    ['gala,show,0,demo,ann,5,', 'write a whole number from 1'],
    ['gala,show,1.5,demo,ann,5,', 'write a whole number from 1'],
    ['gala,show,3,dmo,ann,5,', 'did you mean "demo"?'],
    ['gala,show,3,demo,,5,', 'user is 1 to 128'],
    ['gala,show,3,demo,ann,,', 'takes a whole number of fen from 1 to 500'],
    ['gala,show,3,demo,ann,0,', 'takes a whole number of fen from 1 to 500'],
    ['gala,show,3,demo,ann,1.5,', 'takes a whole number of fen from 1 to 500'],
    ['gala,show,3,demo,ann,501,', 'at most 500'],
    ['gala,cash,3,demo,ann,5,', 'amountFen stays empty'],
    ['gala,show,3,demo,ann,5,yesterday', 'is no moment'],
    ['gala,show,3,demo,ann,5,2030-01-01T00:00:00Z', 'lies in the future'],
    ['gala,show,3,demo,ann,5,2001-01-01T00:00:00Z', 'had no phase at'],
    ['gala,show,3,demo,ann', 'the line has 5 fields, the header has 7'],
  ])('%s', (line, wrong) => expect(read(line)).toEqual({ wrong: expect.stringContaining(wrong) }));

  it('tells all that is wrong at once, and never who it is about', () => {
    const { wrong } = read('gala,shw,0,dmo,ann\0secret,5,never') as { wrong: string };
    expect(wrong.split('; ').length).toBeGreaterThanOrEqual(5);
    expect(wrong).not.toContain('secret');
  });
});
