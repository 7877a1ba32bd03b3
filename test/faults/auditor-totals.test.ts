import { describe, expect, it } from 'vitest';
import { checkFileTotals, checkLines } from '../../rehearsal/audit/check-lines.ts';
import type { JournalEntry } from '../../rehearsal/audit/journal.ts';
import type { Books, LineRow, SliceRow } from '../../rehearsal/audit/ledger.ts';
import { Findings } from '../../rehearsal/audit/report.ts';

const line = (scene_id: string, more: Partial<LineRow> = {}): LineRow => ({
  phase_key: 1,
  scene_id,
  rain_id: 0,
  rule: scene_id.startsWith('/') ? 'level' : 'split',
  levels: [],
  packet_cap_fen: 100n,
  total_packets: 100n,
  total_fen: 1_000n,
  remaining_packets: 85n,
  remaining_fen: 850n,
  leased_packets: 10n,
  leased_fen: 100n,
  given_packets: 5n,
  given_fen: 50n,
  ...more,
});
const slice = (slice_id: bigint, scene_id: string, more: Partial<SliceRow>): SliceRow => ({
  slice_id,
  phase_key: 1,
  scene_id,
  rain_id: 0,
  state: 'open',
  amounts_fen: null,
  packets: 10n,
  fen: 100n,
  given_packets: null,
  given_fen: null,
  grant_until_ms: 0n,
  ...more,
});
const slices = [
  slice(1n, 'x', {}),
  slice(2n, 'y', { state: 'closed', packets: 8n, fen: 80n, given_packets: 5n, given_fen: 50n }),
];
const emptied = { remaining_packets: 100n, remaining_fen: 1_000n };
const none = { leased_packets: 0n, leased_fen: 0n };
const nothing = { given_packets: 0n, given_fen: 0n };
const x = line('x', { levels: ['/'], remaining_packets: 90n, remaining_fen: 900n, ...nothing });
const y = line('y', { levels: ['/'], remaining_packets: 95n, remaining_fen: 950n, ...none });

const found = (lines: LineRow[]): string[] => {
  const findings = new Findings();
  checkLines({ lines, slices } as unknown as Books, findings);
  return findings.list.map(({ what, where }) => `${what}: ${where}`);
};

describe('the auditor, adding up totals', () => {
  it.each([
    ['nothing where a level is the sum of its scenes', [line('/'), x, y], []],
    [
      'a level that lacks what a scene has out',
      [line('/', { ...none, remaining_packets: 95n, remaining_fen: 950n }), x, y],
      ['a budget does not add up: phase 1, scene /', 'a budget’s own counts are wrong: phase 1, scene /'],
    ],
    [
      'a level that counts a scene which is none of its own',
      [line('/'), x, { ...y, levels: [] }],
      ['a budget does not add up: phase 1, scene /', 'a budget’s own counts are wrong: phase 1, scene /'],
    ],
    [
      'a level that says it gave nothing',
      [line('/', { ...emptied, ...none, ...nothing }), x, y],
      ['a budget does not add up: phase 1, scene /', 'a budget’s own counts are wrong: phase 1, scene /'],
    ],
    [
      'a scene that counts for no line',
      [line('/'), { ...x, levels: ['/', '/gone'] }, y],
      ['a scene counts for a total that is not there: x'],
    ],
  ])('sees %s', (_, lines, expected) => {
    const seen = found(lines as LineRow[]);
    expect(seen).toHaveLength(expected.length);
    for (const [at, one] of (expected as string[]).entries()) expect(seen[at]).toContain(one);
  });

  const source = (campaign: number, item: number, scene: number) => `
budget: { packets: ${campaign}, fen: 10000 }
rewards:
  - id: r
    items:
      - id: i
        budget: { packets: ${item}, fen: 10000 }
        scenes:
          - { id: x, budget: { packets: ${scene}, fen: 10000 } }
          - { id: y, budget: { packets: ${scene}, fen: 10000 } }
phases: [{ id: live }]
`;
  const overspent = (...sources: string[]): string[] => {
    const findings = new Findings();
    const orders = new Map(
      ['x', 'x', 'x', 'y', 'y', 'void'].map((scene, at) => [
        String(at),
        {
          order: { campaign: 'gala', stage: 'live', scene: scene === 'void' ? 'x' : scene, fen: 10n },
          isVoid: scene === 'void',
        } as unknown as JournalEntry,
      ]),
    );
    const campaigns = sources.map((one) => ({ campaign_id: 'gala', source: one }));
    checkFileTotals(orders, { campaigns, phases: [], slices: [] } as never, findings);
    return findings.list.map(({ where }) => where);
  };

  it.each([
    ['all of it', [source(5, 5, 3)], []],
    ['too little in the scene', [source(5, 5, 2)], ['gala/live x']],
    ['too little in the item', [source(5, 4, 3)], ['gala/live /r/i']],
    ['too little in the campaign', [source(4, 5, 3)], ['gala/live /']],
    ['an older file that allowed it', [source(4, 4, 2), source(5, 5, 3)], []],
    ['no file that allowed it', [source(4, 5, 3), source(5, 4, 3)], ['gala/live /']],
  ])('of a file with %s', (_, sources, expected) => {
    expect(overspent(...sources)).toEqual(expected);
  });
});
