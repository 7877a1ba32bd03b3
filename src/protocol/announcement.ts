import { Type } from 'typebox';
import { Check } from 'typebox/value';

/** One campaign as every process needs it; compiled by each reader, so that what was checked is what is used. */
export interface AnnouncedCampaign {
  readonly id: string;
  readonly version: number;
  readonly contentHash: string;
  /** The campaign file. */
  readonly source: string;
  readonly phaseKeys: Readonly<Record<string, number>>;
}

/** A round that is moved while the night runs. */
export interface Cue {
  readonly campaignId: string;
  readonly phaseId: string;
  readonly rainId: number;
  readonly startsAtMs: number;
}

export const SWITCHES = ['book', 'log'] as const;
/** Off: the part is not asked at all, as if it were down. */
export type Switch = (typeof SWITCHES)[number];

/**
 * All that control says to the other processes: one document, whole each time, numbered, signed, never changed
 * afterwards. The higher sequence wins; the same one twice is the same document.
 */
export interface Announcement {
  readonly sequence: number;
  readonly issuedAtMs: number;
  readonly campaigns: readonly AnnouncedCampaign[];
  readonly cues: readonly Cue[];
  readonly off: readonly Switch[];
  /** Credits a second of all creditors together; null lifts the limit. */
  readonly creditsPerSecond: number | null;
  /** Raised by a rotation: readers look at their keyring again. */
  readonly keyringVersion: number;
}

const whole = (options: object = {}) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...options });
const Schema = Type.Object({
  sequence: whole({ minimum: 1 }),
  issuedAtMs: whole(),
  campaigns: Type.Array(
    Type.Object({
      id: Type.String(),
      version: whole({ minimum: 1 }),
      contentHash: Type.String(),
      source: Type.String(),
      phaseKeys: Type.Record(Type.String(), whole({ minimum: 1 })),
    }),
  ),
  cues: Type.Array(
    Type.Object({
      campaignId: Type.String(),
      phaseId: Type.String(),
      rainId: whole({ minimum: 1 }),
      startsAtMs: whole(),
    }),
  ),
  off: Type.Array(Type.Enum([...SWITCHES])),
  creditsPerSecond: Type.Union([whole(), Type.Null()]),
  keyringVersion: whole(),
});

export const NOTHING_ANNOUNCED: Announcement = {
  sequence: 0,
  issuedAtMs: 0,
  campaigns: [],
  cues: [],
  off: [],
  creditsPerSecond: null,
  keyringVersion: 0,
};

export const encodeAnnouncement = (announcement: Announcement): Buffer =>
  Buffer.from(JSON.stringify(announcement), 'utf8');

/** Undefined for anything that is no announcement. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return Check(Schema, value) ? (value as Announcement) : undefined;
  } catch {
    return undefined;
  }
}
