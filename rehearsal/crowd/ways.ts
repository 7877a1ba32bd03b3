/** An answer that came, or `undefined` when none did: what was asked may have happened or not. */
export type Heard<Told> =
  | { readonly told: Told }
  /** `isFinal`: asking again can't change it. */
  | { readonly refused: string; readonly isFinal: boolean }
  | undefined;

export interface ToldOfShake {
  readonly ticket: string | undefined;
  /** To be shown with the next shake; undefined when it has not changed. */
  readonly claimRecord: string | undefined;
}

export interface ToldOfOpen {
  readonly orderNumber: string;
  readonly amountFen: number;
  /** base64url, as everything that is bytes here. */
  readonly token: string;
}

/** How a person reaches the gateway. Never throws. */
export interface Way {
  shake(claimRecord: string): Promise<Heard<ToldOfShake>>;
  open(ticket: string): Promise<Heard<ToldOfOpen>>;
  /** What a broken or hostile phone sends. */
  sendRubbish(random: () => number): Promise<void>;
  close(): void;
}

export const isFinal = (heard: Heard<unknown>): boolean =>
  heard !== undefined && ('told' in heard || heard.isFinal);
