/** One mistake in a campaign file: where it stands, what is wrong, what would be right. Lines and columns count from 1. */
export interface CampaignProblem {
  readonly line: number;
  readonly column: number;
  /** As in rewards[0].items[0].id; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly expected: string;
}

export type PathPart = string | number;

export const formatPath = (path: readonly PathPart[]): string =>
  path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('');

/** A mistake that knows its path but not yet its place in the text. */
export interface PathProblem {
  readonly path: readonly PathPart[];
  readonly message: string;
  readonly expected: string;
  /** The field's name is what is wrong, not its value. */
  readonly isAtName?: boolean;
}
