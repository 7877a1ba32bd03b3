import { type KeyValueStore, memoryStore } from '../client/index.ts';

/** localStorage, or memory where the browser forbids it (some do in private windows and foreign frames). */
export const pageStorage: KeyValueStore = (() => {
  try {
    localStorage.getItem('hongbao:language');
    return localStorage;
  } catch {
    return memoryStore();
  }
})();

/** A setting; a full storage merely forgets it. */
export function remember(key: string, value: string): void {
  try {
    pageStorage.setItem(key, value);
  } catch {
    // Full: the page works without its memory.
  }
}
