/** Listeners by event name; `Events` names each event's payload. */
export interface Emitter<Events> {
  /** Calls `listener` on every such event from now on; gives back how to stop. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void;
}

/** A listener that throws harms nobody else: its error is thrown later, on its own, where the app sees it. */
export function createEmitter<Events>(): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(payload: never) => void>>();
  return {
    on(name, listener) {
      const those = listeners.get(name) ?? new Set();
      listeners.set(name, those);
      // Wrapped, so that one function that listens twice is called twice and stopped one at a time.
      const own = (payload: never) => listener(payload);
      those.add(own);
      return () => void those.delete(own);
    },
    emit(name, payload) {
      for (const listener of [...(listeners.get(name) ?? [])]) {
        try {
          listener(payload as never);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
