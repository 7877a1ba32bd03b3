/** What the client gives back. Amounts are in fen (whole numbers), moments in ms since 1970 UTC. */
export interface Bilingual {
  readonly zh: string;
  readonly en: string;
}
export type Prize =
  /** `local`: answered on the phone, to be gentle with the server. */
  | { readonly prize: 'nothing'; readonly local: boolean }
  | { readonly prize: 'greeting'; readonly sponsorId: string; readonly text: Bilingual }
  | {
      readonly prize: 'ticket';
      readonly ticket: string;
      readonly sponsor: Bilingual;
      readonly sponsorId: string;
      readonly expiresAtMs: number;
    };
/** Of the phase that is on, or was last. */
export interface GivenTotal {
  readonly phase: string;
  readonly fen: number;
  readonly packets: number;
}
export interface Packet {
  /** `cash`, or what kind of coupon, ticket or pendant it is (src/vocabulary/award-type.ts). */
  readonly awardType: string;
  /** Money; of any other award what it is worth, 0 too. */
  readonly amountFen: number;
  readonly orderNumber: string;
  readonly bill: Bilingual;
  readonly sponsorId: string;
  readonly drawnAtMs: number;
}
export interface WalletLine {
  /** credit, withdrawal or transfer */
  readonly kind: string;
  /** The order number of a credit, the id of a withdrawal. */
  readonly ref: string;
  readonly atMs: number;
  /** Negative for what went out. */
  readonly amountFen: number;
  /** outstanding, credited, or a withdrawal's state */
  readonly status: string;
  readonly bill: Bilingual;
}
/** A coupon, ticket, pendant or greeting. */
export interface AwardLine {
  readonly orderNumber: string;
  /** As in the campaign file: drinks-coupon, cinema-ticket, greeting and so on. */
  readonly awardType: string;
  /** granted and asking: on its way. fulfilled: can be used. used. dead: somebody has to look at it. */
  readonly state: 'granted' | 'asking' | 'fulfilled' | 'used' | 'dead';
  readonly worthFen: number;
  readonly drawnAtMs: number;
  readonly bill: Bilingual;
  /** The code or link that it is used with. */
  readonly voucher?: string;
  readonly usedAtMs?: number;
}
export interface Page {
  readonly records: readonly WalletLine[];
  readonly nextCursor?: string;
}
export interface WalletOverview extends Page {
  /** All that can be taken out at this moment. */
  readonly balanceFen: number;
  readonly totalIncomeFen: number;
  readonly creditedFen: number;
  readonly outstandingFen: number;
  readonly heldFen: number;
  /** Which of the phone's tokens were not counted in, by their place in the request. */
  readonly refusedTokens: readonly { readonly index: number; readonly code: string }[];
  /** Everything that is not money, newest first. */
  readonly awards?: readonly AwardLine[];
  /** False: what is not credited yet could not be looked up, and shows only if this phone has its token. */
  readonly complete?: boolean;
}
export interface Withdrawal {
  readonly withdrawalId: string;
  /** held, paying, paid or returned */
  readonly state: string;
  readonly amountFen: number;
  readonly requestedAtMs: number;
}
export interface Round {
  readonly rainId: number;
  readonly startsAtMs: number;
  readonly endsAtMs: number;
}
export interface CampaignInfo {
  readonly id: string;
  readonly title: Bilingual;
  readonly rain?: Round;
  readonly nextRain?: Round;
  readonly serverTimeMs: number;
  readonly sponsors: readonly { readonly id: string; readonly name: Bilingual }[];
}
