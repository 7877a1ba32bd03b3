import type { ActId } from './ids.ts';

/**
 * One person over all apps: the id that stands for them, and the younger ids that a phone number joined to it. Orders
 * that were made under an alias keep its number, its bucket and its account for ever; only the money is moved.
 */
export interface Person {
  readonly actId: ActId;
  /** Rising; empty for most. */
  readonly aliases: readonly ActId[];
}

export const idsOf = (person: Person): readonly ActId[] =>
  person.aliases.length === 0 ? [person.actId] : [person.actId, ...person.aliases];

/** Whether what stands under this id is this person's. */
export const isOneOf = (person: Person, actId: ActId): boolean =>
  actId === person.actId || person.aliases.includes(actId);

export const aloneAs = (actId: ActId): Person => ({ actId, aliases: [] });
