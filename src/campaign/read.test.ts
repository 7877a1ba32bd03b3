import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Check } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { PhaseId, PhaseKey } from '../vocabulary/ids.ts';
import { instantMs } from '../vocabulary/instant.ts';
import { compileCampaign, contentHash } from './compile.ts';
import { campaignJsonSchema } from './json-schema.ts';
import { nextRain, phaseAt, rainAt, walletPhaseAt } from './lookup.ts';
import { readCampaign } from './read.ts';

const night = readFileSync('examples/spring-night.yaml', 'utf8');
const lines = night.split('\n');

/** Reads a text; a draft must compile and answer at every edge of it, a mistake must stand inside the text. */
function readSoundly(text: string): void {
  const read = readCampaign(text);
  if ('draft' in read) {
    const phaseKeys = new Map(read.draft.phases.map(({ id }, at) => [id as PhaseId, (at + 1) as PhaseKey]));
    const campaign = compileCampaign(read.draft, {
      version: 1,
      contentHash: contentHash(read.draft),
      phaseKeys,
    });
    for (const phase of campaign.phases) {
      for (const at of [phase.opensAtMs - 1, phase.opensAtMs, phase.closesAtMs - 1, phase.closesAtMs].map(
        instantMs,
      )) {
        phaseAt(campaign, at);
        walletPhaseAt(campaign, at);
        rainAt(phase, at);
        nextRain(phase, at);
      }
      for (const series of phase.series)
        expect(rainAt(phase, series.startsAtMs)?.id).toBe(series.firstRainId);
    }
    return;
  }
  const rows = text.split('\n').length;
  expect(read.problems.length).toBeGreaterThan(0);
  for (const { line, column, message, expected } of read.problems) {
    expect(line >= 1 && line <= rows + 1 && column >= 1 && message !== '' && expected !== '').toBe(true);
  }
}

const value = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    1,
    -1,
    1.5,
    2 ** 53,
    1e300,
    Number.NaN,
    true,
    [],
    {},
    [[]],
    { id: 1 },
    '2027-02-29T00:00:00Z',
    'PT1S',
    'P99999D',
    '__proto__',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** The night with one value, somewhere, another: what a hand or a tool may leave behind. */
function withOther(places: number, other: unknown, isGone: boolean): string {
  const content: unknown = parse(night);
  const spots: [Record<string, unknown>, string][] = [];
  const walk = (at: unknown) => {
    if (typeof at !== 'object' || at === null) return;
    for (const key of Object.keys(at)) {
      spots.push([at as Record<string, unknown>, key]);
      walk((at as Record<string, unknown>)[key]);
    }
  };
  walk(content);
  const [holder, key] = spots[places % spots.length]!;
  if (!isGone) holder[key] = other;
  else if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else delete holder[key];
  return stringify(content, { aliasDuplicateObjects: false });
}

describe('reading a campaign file', () => {
  it('survives any one value that is missing or another', () => {
    fc.assert(
      fc.property(fc.nat(10_000), value, fc.boolean(), (place, other, isGone) =>
        readSoundly(withOther(place, other, isGone)),
      ),
      { numRuns: 1_500 },
    );
  }, 120_000);

  it('survives lines that are gone, twice, moved in or out, or cut', () => {
    const edit = fc.tuple(
      fc.nat(lines.length - 1),
      fc.constantFrom('drop', 'twice', 'in', 'out', 'cut', 'swap'),
      fc.nat(40),
    );
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const text = [...lines];
        for (const [at, what, n] of edits) {
          const line = text[at] ?? '';
          if (what === 'drop') text.splice(at, 1);
          if (what === 'twice') text.splice(at, 0, line);
          if (what === 'in') text[at] = `  ${line}`;
          if (what === 'out') text[at] = line.replace(/^ {2}/, '');
          if (what === 'cut') text[at] = line.slice(0, n);
          if (what === 'swap') text.splice(at, 2, text[at + 1] ?? '', line);
        }
        readSoundly(text.join('\n'));
      }),
      { numRuns: 1_500 },
    );
  }, 120_000);

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) =>
        readSoundly(Buffer.from(bytes).toString('utf8')),
      ),
      { numRuns: 10_000 },
    );
  }, 60_000);

  it('tells of the times and references of a file whose shape is wrong elsewhere', () => {
    const text = night
      .replace('flags: { compensate: true, stockControlled: true, reconcile: true }', 'flags: 1')
      .replace('caps: { packetFen: 20000, personPackets: 3 }', 'caps: no')
      .replace('sponsor: panda-bank', 'sponsor: panda-bnak')
      .replace('2027-02-05T18:00:00', '2027-02-30T18:00:00')
      .replace('lasts: PT10M', 'lasts: ten minutes');
    const read = readCampaign(text);
    const paths = 'problems' in read ? read.problems.map(({ path }) => path.replace(/^.*\]\./, '')) : [];
    expect(paths).toEqual(['sponsor', 'caps', 'flags', 'opensAt', 'lasts']);
  });

  const filled = (characters: number, piece: (at: number) => string): string => {
    let text = '';
    for (let at = 0; text.length < characters; at += 1) text += piece(at);
    return text;
  };

  it.each([
    ['keys', (at: number) => `k${at}: 1\n`],
    ['aliases', (at: number) => `b${at}: *a\n`],
    ['sponsors', (at: number) => (at === 0 ? 'sponsors:\n' : ` - id: s${at}\n`)],
    ['closing brackets', () => ']'],
    ['dashes', () => '- '],
  ])('names some hundreds of mistakes, at most, of 64 KiB of %s', (_, piece) => {
    const read = readCampaign(filled(1 << 16, piece));
    expect('problems' in read && read.problems.length <= 501).toBe(true);
  });

  it('takes a time for many keys that grows with the file, not with its square', () => {
    const millis = (text: string) => {
      const from = performance.now();
      readCampaign(text);
      return performance.now() - from;
    };
    const key = (at: number) => `k${at}: 1\n`;
    const small = filled(1 << 15, key);
    const large = filled(1 << 18, key);
    millis(small);
    // 8 times the keys: about 8 times as long; 64 times if each were compared with each.
    expect(millis(large) / Math.max(millis(small), millis(small))).toBeLessThan(30);
  });

  it('is not fooled by names that JavaScript knows', () => {
    for (const name of ['__proto__', 'constructor', 'toString', '<<']) {
      const read = readCampaign(`${night}${name}: { polluted: true }\n`);
      expect('problems' in read && read.problems[0]?.message).toBe(`there is no field "${name}" here`);
    }
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('the published schema', () => {
  const schema = JSON.parse(campaignJsonSchema());

  it.each(['gala.yaml', 'spring-night.yaml'])('accepts examples/%s, so an editor does', (file) => {
    const text = readFileSync(`examples/${file}`, 'utf8');
    expect(Check(schema, parse(text))).toBe(true);
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../schema/campaign.schema.json');
  });

  it('refuses examples/broken.yaml', () => {
    expect(Check(schema, parse(readFileSync('examples/broken.yaml', 'utf8'), { uniqueKeys: false }))).toBe(
      false,
    );
  });
});
