import type { ActId, AppId, CampaignId, PhaseId, PhaseKey, SceneId } from '../../vocabulary/ids.ts';
import type { InstantMs } from '../../vocabulary/instant.ts';
import type { Person } from '../../vocabulary/person.ts';

export interface StoredCampaign {
  readonly id: CampaignId;
  readonly version: number;
  readonly contentHash: string;
  /** The campaign file as it was applied. */
  readonly source: string;
  readonly phaseKeys: ReadonlyMap<PhaseId, PhaseKey>;
}

export interface UpstreamCredential {
  readonly name: string;
  readonly campaignId: CampaignId;
  readonly scenes: ReadonlySet<SceneId>;
}

/** What became of the wish to bind a phone number. `kept`: the person has another one. `of-another`: both have one. */
export type PhoneOutcome = 'known' | 'bound' | 'replaced' | 'joined' | 'kept' | 'of-another';

/** The id that (app, user) was given at first, which never changes, and the person whose it is by now. */
export interface Known {
  readonly given: ActId;
  readonly person: Person;
}

export interface PhoneBinding extends Known {
  readonly outcome: PhoneOutcome;
}

export interface ControlStore {
  /**
   * Who each (app, user) is, in their order; one may come twice. The same person again whenever it is asked, and a new one
   * at the first asking. `userKey` is a keyed hash of (app, user): no user id is stored.
   */
  personsFor(
    users: readonly { readonly appId: AppId; readonly userKey: Uint8Array }[],
  ): Promise<readonly Known[]>;
  /** Who an id is by now, be it the person's own or an alias. */
  personOf(actId: ActId): Promise<Person>;
  /** The same for many, in their order. */
  personsOf(actIds: readonly ActId[]): Promise<readonly Person[]>;
  /**
   * Binds a phone number (its keyed hash) to (app, user), who may be new, and joins persons by it. One transaction;
   * repeats change nothing. `mayReplace`: a person who has another number gets this one, if nobody has it.
   */
  bindPhone(
    appId: AppId,
    userKey: Uint8Array,
    phoneKey: Uint8Array,
    mayReplace: boolean,
  ): Promise<PhoneBinding>;
  /** Persons who were joined since `mark`, as they are now; and the mark for the next asking. A person may come twice. */
  joinedSince(
    mark: string | undefined,
  ): Promise<{ readonly mark: string; readonly persons: readonly Person[] }>;
  /** Aliases, rising, strictly behind `after`. */
  aliases(
    after: ActId | undefined,
    limit: number,
  ): Promise<readonly { readonly alias: ActId; readonly actId: ActId }[]>;
  /** The keys of these phases, and of all others that the campaign ever had: given once and kept for ever. */
  phaseKeysFor(id: CampaignId, phases: readonly PhaseId[]): Promise<ReadonlyMap<PhaseId, PhaseKey>>;
  /**
   * One act on a campaign at a time, whichever control it is at; others wait for seconds. Throws a RetryableFault when it
   * can't be its turn, or when nobody knows any more that it was alone: then it may have been done.
   */
  inTurn<Result>(id: CampaignId, act: () => Promise<Result>): Promise<Result>;
  /** Stores a new version unless the newest has the same content. */
  storeCampaign(campaign: { id: CampaignId; contentHash: string; source: string }): Promise<StoredCampaign>;
  campaigns(): Promise<readonly StoredCampaign[]>;
  /** The newest envelope that was announced. */
  announcement(): Promise<{ readonly sequence: number; readonly envelope: Uint8Array } | undefined>;
  /**
   * Keeps a new envelope, made out of the one of sequence `after`; false, and nothing is changed, when there is a newer
   * one than that by now.
   */
  putAnnouncement(sequence: number, envelope: Uint8Array, after: number): Promise<boolean>;
  /** The database's clock, which every process of a cluster follows. */
  nowMs(): Promise<InstantMs>;
  /** Secrets are stored as SHA-256 only. Adding a name again replaces it. */
  putUpstream(credential: UpstreamCredential, secretHash: Uint8Array): Promise<void>;
  upstreamBySecret(secretHash: Uint8Array): Promise<UpstreamCredential | undefined>;
  /** Makes a setup token spendable. Offering a spent one changes nothing. */
  offerSetupToken(tokenHash: Uint8Array): Promise<void>;
  /** Uses up an offered setup token, and with it every other one; true exactly once. */
  spendSetupToken(tokenHash: Uint8Array, operator: { name: string; keyHash: Uint8Array }): Promise<boolean>;
  operatorByKey(keyHash: Uint8Array): Promise<{ readonly name: string } | undefined>;
  /** How many operators there are; the setup token is printed while there is none. */
  operatorCount(): Promise<number>;
}
