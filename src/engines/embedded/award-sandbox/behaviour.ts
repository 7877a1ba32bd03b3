import { isWhole } from '../sandbox/server.ts';

/**
 * How the sandbox treats a piece that it has not heard of before:
 * ok                    hands it out, and answers
 * slow                  hands it out, and answers after lateMs
 * http-500              does nothing, and answers 500
 * http-500-but-done     hands it out, and answers 500
 * time-out-then-done    hands it out, and never answers
 * time-out-not-done     does nothing, and never answers
 * twice                 as if the network had brought the question twice: both are answered, one is handed out
 * processing-for-ever   answers "processing", always
 * processing-then-ok    answers "processing", and hands it out after lateMs
 * fail                  does nothing, and says so
 * reject                refuses for good
 * cut-before            ends the connection, having done nothing
 * cut-after             hands it out, and ends the connection
 */
export const DOWNSTREAM_MODES = [
  'ok',
  'slow',
  'http-500',
  'http-500-but-done',
  'time-out-then-done',
  'time-out-not-done',
  'twice',
  'processing-for-ever',
  'processing-then-ok',
  'fail',
  'reject',
  'cut-before',
  'cut-after',
] as const;

export type DownstreamMode = (typeof DOWNSTREAM_MODES)[number];

export interface DownstreamBehaviour {
  readonly mode: DownstreamMode;
  readonly lateMs: number;
}

/** What was told, for all pieces, for those of one connector, or for one item. */
export interface DownstreamBehaviours {
  for(connector: string, item: string): DownstreamBehaviour;
  /** Reads {mode, lateMs?, connector?, item?}; with neither of these for all of them, and earlier rules are forgotten. */
  tell(body: Record<string, unknown>): DownstreamBehaviour | { readonly error: string };
}

const LATE_MS = 500;
const LATE_MS_MAX = 86_400_000;
const ANY = '*';

export function createDownstreamBehaviours(): DownstreamBehaviours {
  let usual: DownstreamBehaviour = { mode: 'ok', lateMs: LATE_MS };
  const ofSome = new Map<string, DownstreamBehaviour>();
  const key = (connector: unknown, item: unknown): string => JSON.stringify([connector, item]);
  const isName = (name: unknown): boolean =>
    name === undefined || (typeof name === 'string' && name !== '' && name.length <= 128);

  return {
    for: (connector, item) =>
      [key(connector, item), key(ANY, item), key(connector, ANY)].flatMap(
        (one) => ofSome.get(one) ?? [],
      )[0] ?? usual,
    tell({ mode: name, lateMs = LATE_MS, connector, item }) {
      const mode = DOWNSTREAM_MODES.find((one) => one === name);
      if (!mode) return { error: `mode is one of ${DOWNSTREAM_MODES.join(', ')}` };
      if (!isWhole(lateMs, 0) || lateMs > LATE_MS_MAX)
        return { error: `lateMs is a whole number of milliseconds up to ${LATE_MS_MAX}` };
      if (!isName(connector) || !isName(item))
        return { error: 'connector and item are names; leave both out to mean every piece' };
      const behaviour = { mode, lateMs };
      if (connector === undefined && item === undefined) {
        usual = behaviour;
        ofSome.clear();
      } else ofSome.set(key(connector ?? ANY, item ?? ANY), behaviour);
      return behaviour;
    },
  };
}
