import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActId, PhaseId, PhaseKey } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import { compileCampaign, contentHash } from './compile.ts';
import { campaignJsonSchema } from './json-schema.ts';
import { inAudience, nextRain, phaseAt, rainAt, rainById, walletPhaseAt } from './lookup.ts';
import { readCampaign } from './read.ts';
import { reportProblems } from './report.ts';
import type { CampaignDraft } from './schema.ts';
import { formatLike, parseDurationMs, parseInstant } from './times.ts';

const gala = readFileSync('examples/gala.yaml', 'utf8');
const night = readFileSync('examples/spring-night.yaml', 'utf8');
const draftOf = (text: string): CampaignDraft => {
  const read = readCampaign(text);
  if ('problems' in read) throw new Error(reportProblems('x', text, read.problems));
  return read.draft;
};
const problemsOf = (text: string) => {
  const read = readCampaign(text);
  return 'problems' in read ? read.problems : [];
};
const keys = new Map(['internal', 'gray', 'live'].map((id, at) => [id as PhaseId, (at + 1) as PhaseKey]));
const compiled = (text: string) =>
  compileCampaign(draftOf(text), { version: 1, contentHash: 'h', phaseKeys: keys });
const at = (text: string) => parseInstant(text)!;

describe('a campaign file', () => {
  it.each(['gala.yaml', 'spring-night.yaml'])('examples/%s has no mistakes', (file) => {
    expect(problemsOf(readFileSync(`examples/${file}`, 'utf8'))).toEqual([]);
  });

  it('has a published schema that is up to date', () => {
    expect(readFileSync('schema/campaign.schema.json', 'utf8')).toBe(campaignJsonSchema());
    expect(readdirSync('schema')).toEqual(['campaign.schema.json', 'connectors.schema.json']);
  });

  it('names every mistake at once, each with its place and what would be right', () => {
    const text = readFileSync('examples/broken.yaml', 'utf8');
    const problems = problemsOf(text);
    const found = problems.map((problem) => `${problem.line}: ${problem.path}`);
    const scene = 'rewards[0].items[0].scenes[0]';
    expect(found).toEqual([
      '3: campaign',
      '5: ',
      '7: ',
      '8: limits',
      '8: limits.packet',
      '8: limits.packetsPerSponsor',
      '9: ticketTtl',
      `23: ${scene}.sponsor`,
      `24: ${scene}.amount.rule`,
      `25: ${scene}.caps.packetFen`,
      `27: ${scene}.bill.en`,
      `28: ${scene}.flags.reconcile`,
      '33: phases[0].closesAt',
      '39: phases[0].rains[1]',
      '40: phases[0].rains[1].startsAt',
      '42: phases[0].rains[1].deals[0].scene',
    ]);
  });

  it.each([
    ['an empty file', '', 'empty'],
    ['a list', '- a\n', 'not a mapping'],
    ['two documents', `${night}\n---\na: 1\n`, 'several documents'],
    ['a NUL', 'a: \0', 'NUL'],
    ['a tab', 'campaign:\n\t- x\n', 'Tabs'],
    ['a bomb of brackets', '['.repeat(100_000), 'deep'],
    ['an alias', 'a: &x [1]\nb: *x\n', 'alias'],
    ['too large a file', 'a'.repeat((1 << 20) + 1), 'characters'],
    ['a duplicate key', night.replace('ticketTtl: PT5M', 'ticketTtl: PT5M\nticketTtl: PT6M'), 'there twice'],
    ['an unknown field', night.replace('ticketTtl:', 'ticketTTL:'), 'no field'],
    ['an underscore in an id', night.replace('spring-2027', 'spring_2027'), "an id can't have"],
    ['a fraction of a fen', night.replace('packetFen: 20000', 'packetFen: 200.5'), 'not a whole number'],
    ['a negative budget', night.replace('fen: 30000000', 'fen: -1'), 'too small'],
    ['a quoted number', night.replace('packetFen: 20000', 'packetFen: "20000"'), '"20000" is text'],
    ['a number beyond 2^53', night.replace('packetFen: 20000', 'packetFen: 9007199254740993'), 'too large'],
    ['a number in hexadecimal', night.replace('packetFen: 20000', 'packetFen: 0x4e20'), 'written as'],
    ['30 February', night.replace('2027-02-05T18:00:00', '2027-02-30T18:00:00'), 'no moment'],
    [
      '29 February of a common year',
      night.replace('2027-02-05T18:00:00', '2027-02-29T18:00:00'),
      'no moment',
    ],
    ['no offset', night.replace('2027-02-06T02:00:00+08:00', '2027-02-06T02:00:00'), 'no moment'],
    ['an unknown sponsor', night.replace('sponsor: panda-bank', 'sponsor: pandabank'), 'no sponsor'],
    [
      'an unknown scene',
      night.replace('{ scene: rain, packets: 2000,', '{ scene: snow, packets: 2000,'),
      'no scene',
    ],
    ['overlapping phases', night.replace('2027-02-05T18:00:00', '2027-02-04T18:00:00'), 'begins before'],
    ['overlapping rounds', night.replace('2027-02-05T21:08:00', '2027-02-05T20:09:00'), 'begins before'],
    ['a round outside its phase', night.replace('2027-02-05T22:30:00', '2027-02-07T22:30:00'), 'not inside'],
    ['a round id twice', night.replace('- id: 2\n', '- id: 1\n'), 'twice'],
    ['rounds above the budget', night.replace('fen: 30000000,', 'fen: 20000000,'), 'the rounds give'],
    [
      'more packets than fen',
      night.replace('packets: 100, budgetFen: 10000', 'packets: 100, budgetFen: 99'),
      'too few',
    ],
    ['more fen than the caps allow', night.replace('packetFen: 20000', 'packetFen: 10'), "can't be given"],
    [
      'a fixed amount that does not come out',
      gala.replace('fen: 188000000000', 'fen: 188000000001'),
      'do not make',
    ],
    [
      'a given scene in a round',
      gala.replace('amount: { rule: fixed, fen: 188 }', 'amount: { rule: given }'),
      'granted by upstreams',
    ],
    ['a series that overlaps itself', gala.replace('lasts: PT115S', 'lasts: PT121S'), 'overlap'],
    ['a round that is also a series', gala.replace('firstId: 1', 'id: 1\n        firstId: 1'), 'neither'],
    ['no duration', gala.replace('every: PT2M', 'every: 2m'), 'no duration'],
  ])('refuses %s', (_, text, message) => {
    const problems = problemsOf(text);
    expect(problems.map((problem) => problem.message).join('\n')).toContain(message);
    for (const problem of problems) expect(problem.expected).not.toBe('');
  });

  it('never throws: 100,000 mutated files', () => {
    const pieces = [
      'campaign: a',
      'phases:',
      '  - id: x',
      ' - ',
      '{',
      '}',
      '[',
      ']',
      ': ',
      '&a',
      '*a',
      '"',
      "'",
      '|',
      '>',
      '#',
      '!!x',
      '---',
      '\t',
      '1e9',
      '\u{1f9e7}',
      '\ud800',
      'rewards: []',
      '?',
      '- - -',
      '<<: 1',
    ];
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 4, arbitrary: fc.constantFrom(...pieces) },
            { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
          ),
          { maxLength: 8 },
        ),
        (parts) => {
          expect('problems' in readCampaign(parts.join('\n'))).toBe(true);
        },
      ),
      { numRuns: 100_000 },
    );
  }, 600_000);

  it('has the same hash whatever its layout', () => {
    expect(contentHash(draftOf(`# comment\n${night}`))).toBe(contentHash(draftOf(night)));
    expect(contentHash(draftOf(night.replace('PT5M', 'PT6M')))).not.toBe(contentHash(draftOf(night)));
  });
});

describe('the times of a campaign', () => {
  const campaign = compiled(night);
  it.each([
    ['2027-01-09T23:59:59.999+08:00', undefined, undefined],
    ['2027-01-10T00:00:00+08:00', 'internal', 'internal'],
    ['2027-01-19T23:59:59.999+08:00', 'internal', 'internal'],
    ['2027-01-20T00:00:00+08:00', 'gray', 'gray'],
    ['2027-02-05T12:00:00+08:00', undefined, 'gray'],
    ['2027-02-06T01:59:59.999+08:00', 'live', 'live'],
    ['2027-02-06T02:00:00+08:00', undefined, 'live'],
  ])('%s is in phase %s and shows the wallet of %s', (time, inForce, wallet) => {
    expect(phaseAt(campaign, at(time))?.id).toBe(inForce);
    expect(walletPhaseAt(campaign, at(time))?.id).toBe(wallet);
  });

  it('finds the round in force and the next, at their very edges', () => {
    const live = campaign.phases[2]!;
    const around = (time: string) => [rainAt(live, at(time))?.id, nextRain(live, at(time))?.id];
    expect(around('2027-02-05T20:07:59.999+08:00')).toEqual([undefined, 1]);
    expect(around('2027-02-05T20:08:00+08:00')).toEqual([1, 2]);
    expect(around('2027-02-05T20:11:00+08:00')).toEqual([undefined, 2]);
    expect(around('2027-02-05T23:00:00+08:00')).toEqual([undefined, undefined]);
  });

  it('counts the rounds of a series by arithmetic', () => {
    const live = compiled(gala).phases[2]!;
    const rain = rainAt(live, at('2026-11-21T12:00:30+08:00'))!;
    expect(rain.startsAtMs).toBe(at('2026-11-21T12:00:00+08:00'));
    expect(rainAt(live, at('2026-11-21T12:01:55+08:00'))).toBeUndefined();
    expect(nextRain(live, at('2026-11-21T12:01:55+08:00'))?.id).toBe(rain.id + 1);
    expect(rainById(live, rain.id)?.startsAtMs).toBe(rain.startsAtMs);
    expect(rainAt(live, instantMs(rain.startsAtMs + 1))).toBe(rainAt(live, instantMs(rain.startsAtMs + 2)));
  });

  it('lets about the wanted share of people into a drill, always the same', () => {
    const gray = campaign.phases[1]!;
    const inside = Array.from({ length: 20_000 }, (_, n) => inAudience(gray, BigInt(n + 1) as ActId)).filter(
      Boolean,
    ).length;
    expect(inside).toBeGreaterThan(300);
    expect(inside).toBeLessThan(500);
  });

  it.each([
    ['PT90S', 90_000],
    ['PT1H30M', 5_400_000],
    ['P1D', 86_400_000],
    ['PT0.5S', 500],
    ['PT', undefined],
    ['P', undefined],
    ['PT0S', undefined],
    ['90', undefined],
    ['-PT1S', undefined],
  ])('%s is %s ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each([
    '2027-02-05T20:11:00+08:00',
    '2027-02-05T00:30:00-03:30',
    '2027-02-05T20:11:00Z',
    '2027-02-05T20:11:00.250+08:00',
  ])('a moment is written back with its offset: %s', (text) => {
    expect(formatLike(at(text), text)).toBe(text);
  });
});
