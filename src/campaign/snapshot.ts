import type { AwardType } from '../vocabulary/award-type.ts';
import type { Fen } from '../vocabulary/fen.ts';
import type { AppId, CampaignId, PhaseId, PhaseKey, RainId, SceneId, SponsorId } from '../vocabulary/ids.ts';
import type { InstantMs } from '../vocabulary/instant.ts';

/** Shown to people, so always in both languages. */
export interface Bilingual {
  readonly zh: string;
  readonly en: string;
}

export interface Sponsor {
  readonly id: SponsorId;
  readonly name: Bilingual;
  /** Cards that a shake may bring instead of a packet. */
  readonly greetings: readonly Bilingual[];
}

/**
 * How a packet gets its amount. `split`: a slice is cut at random by double mean, at least 1 fen each. `fixed`: every
 * packet the same. `given`: the upstream service names it with each grant; such a scene is never dealt by a shake.
 * `piece`: no money but a thing, worth `fen` to whoever pays for it (0: nothing); the only rule of what is not cash.
 */
export type AmountRule =
  | { readonly rule: 'split' }
  | { readonly rule: 'fixed'; readonly fen: Fen }
  | { readonly rule: 'given' }
  | { readonly rule: 'piece'; readonly fen: Fen };

export interface Budget {
  readonly fen: Fen;
  readonly packets: number;
}

/** Who hands a piece out, and what it is called there. */
export interface Fulfilment {
  /** Names one of the connectors that operations have configured. */
  readonly connector: string;
  /** The downstream's own id of the coupon, ticket or pendant. */
  readonly item: string;
}

/** A scene: one kind of award with its own configuration (seed 2022, 3.2). Leaf of the tree reward ▸ item ▸ scene. */
export interface Scene {
  readonly id: SceneId;
  readonly rewardId: string;
  readonly itemId: string;
  readonly award: AwardType;
  readonly sponsorId: SponsorId;
  readonly amount: AmountRule;
  /** No packet of this scene is worth more, in fen. */
  readonly packetCapFen: Fen;
  /** How many packets of this scene one person may have in a phase, over all rounds. */
  readonly personPacketsMax: number;
  /** What it may give in all, in one phase, unless the phase sets its own. */
  readonly budget: Budget;
  readonly bill: Bilingual;
  /** Undefined for money, and for greetings, which nobody downstream has to hand out. */
  readonly fulfil: Fulfilment | undefined;
  /** Given instead once nothing is left of this one. */
  readonly consolation: SceneId | undefined;
  readonly flags: {
    readonly compensate: boolean;
    readonly stockControlled: boolean;
    readonly reconcile: boolean;
  };
}

/**
 * A total above the scenes, of each phase on its own. The path is `/` for the whole campaign, `/reward`, or
 * `/reward/item`: a slash, which no scene's id has.
 */
export interface BudgetLevel {
  readonly path: string;
  readonly total: Budget;
}

/** What one round gives of one scene. */
export interface Deal {
  readonly sceneId: SceneId;
  readonly packets: number;
  readonly budgetFen: Fen;
}

/** `count` rounds at equal distance, numbered upwards from `firstRainId`; an ordinary round is a series of one. */
export interface RainSeries {
  readonly firstRainId: RainId;
  readonly startsAtMs: InstantMs;
  readonly everyMs: number;
  readonly lastsMs: number;
  readonly count: number;
  readonly deals: readonly Deal[];
}

/** One round of the night (红包雨): half-open window [startsAtMs, endsAtMs). */
export interface Rain {
  readonly id: RainId;
  readonly startsAtMs: InstantMs;
  readonly endsAtMs: InstantMs;
  readonly deals: readonly Deal[];
}

export const PHASE_KINDS = ['internal-test', 'gray-drill', 'live'] as const;
export type PhaseKind = (typeof PHASE_KINDS)[number];

/** A phase (子活动): half-open window [opensAtMs, closesAtMs), data of its own under `key`. Phases never overlap. */
export interface Phase {
  readonly id: PhaseId;
  readonly key: PhaseKey;
  readonly kind: PhaseKind;
  readonly opensAtMs: InstantMs;
  readonly closesAtMs: InstantMs;
  /** Share of people, of 1,000, that may play in it; the same people always. */
  readonly audiencePermille: number;
  /** Total per scene in this phase. */
  readonly budgets: ReadonlyMap<SceneId, Budget>;
  readonly series: readonly RainSeries[];
}

export interface PersonLimits {
  /** Packets one person may win by shaking in a phase. */
  readonly packets: number;
  /** Of those, from one sponsor. */
  readonly packetsPerSponsor: number;
}

/** Everything that data paths know of a campaign: immutable, versioned, made by control from a file. */
export interface CampaignSnapshot {
  readonly id: CampaignId;
  readonly version: number;
  /** SHA-256 of the file's canonical content, hex. */
  readonly contentHash: string;
  readonly title: Bilingual;
  readonly apps: ReadonlyMap<AppId, { readonly id: AppId; readonly name: string }>;
  readonly limits: PersonLimits;
  readonly ticketTtlMs: number;
  readonly sponsors: ReadonlyMap<SponsorId, Sponsor>;
  readonly scenes: ReadonlyMap<SceneId, Scene>;
  /** Only the levels for which the file sets a total. */
  readonly levels: readonly BudgetLevel[];
  readonly phases: readonly Phase[];
}
