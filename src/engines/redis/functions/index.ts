import { createHash } from 'node:crypto';
import advance from './advance.lua';
import entries from './entries.lua';
import giveTurns from './give_turns.lua';
import markWhole from './mark_whole.lua';
import publish from './publish.lua';
import record from './record.lua';
import takeTurns from './take_turns.lua';
import tell from './tell.lua';
import turns from './turns.lua';
import wholeness from './wholeness.lua';

const BODIES = {
  record,
  advance,
  wholeness,
  mark_whole: markWhole,
  take_turns: takeTurns,
  give_turns: giveTurns,
  publish,
  tell,
};
/** What the functions share. */
const COMMON = `${entries}\n${turns}`;

export type RedisFunction = keyof typeof BODIES;

/**
 * The version is a hash of the text: two releases of this engine on one cluster each call their own functions, and a
 * changed text can't meet an old library of the same name.
 */
const version = createHash('sha256')
  .update(JSON.stringify([COMMON, BODIES]))
  .digest('hex')
  .slice(0, 10);

export const LIBRARY = `hongbao_${version}`;

/** The name under which a function is called. */
export const functionName = (name: RedisFunction): string => `${LIBRARY}_${name}`;

const register = ([name, body]: [string, string]): string =>
  `redis.register_function('${LIBRARY}_${name}', function(keys, args)\n${body}\nend)\n`;

/** What FUNCTION LOAD takes. */
export const LIBRARY_TEXT = `#!lua name=${LIBRARY}\n${COMMON}\n${Object.entries(BODIES).map(register).join('\n')}`;
