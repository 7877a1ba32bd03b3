import { LRUCache } from 'lru-cache';

/**
 * What was used most recently, up to so many entries. Grows as it is used: bounded by `max`, the cache would lay out
 * room for all of them when it is made, a fifth of a second and a hundred megabytes at every start.
 */
export const recent = <Key extends string | bigint, Value extends object | bigint | boolean>(
  entriesMax: number,
) => new LRUCache<Key, Value>({ maxSize: entriesMax, sizeCalculation: () => 1 });
