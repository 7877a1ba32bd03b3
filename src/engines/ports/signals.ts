/**
 * One way by which control's signed announcements reach every process. Several carry the same ones side by side: the
 * first to bring a higher sequence wins, repeats and old ones are ignored by whoever reads.
 */
export interface Signals {
  readonly name: string;
  publish(envelope: Uint8Array, sequence: number): Promise<void>;
  /** The newest that this way knows. */
  latest(): Promise<Uint8Array | undefined>;
  /** Told of each that comes by, old and repeated ones too; gives back how to end it. */
  subscribe(onEnvelope: (envelope: Uint8Array) => void): () => void;
  close(): Promise<void>;
}
