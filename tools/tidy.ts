/**
 * The repository checks its own shape (after TigerBeetle's tidy): which room may import which, no cycles, no dead
 * files, and no calls outside the one place that is allowed to make them. Prints what is wrong; exit code 1.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What every room below the stations may build on. */
const RULES = ['src/vocabulary', 'src/protocol', 'src/campaign', 'src/rules'];
const GUARDED = [...RULES, 'src/engines/ports.ts', 'src/guard'];

/** Who may import whom, by room. A station never imports a sibling; the auditor shares no code with the engine. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/vocabulary': [],
  'src/protocol': ['src/vocabulary'],
  'src/campaign': ['src/vocabulary', 'src/protocol'],
  'src/rules': ['src/vocabulary', 'src/protocol', 'src/campaign', 'src/engines/ports.ts'],
  'src/engines': RULES,
  'src/ledger': [...RULES, 'src/engines'],
  'src/guard': [...RULES, 'src/engines/ports.ts'],
  'src/identity': GUARDED,
  'src/telemetry': ['src/vocabulary', 'src/protocol'],
  'src/stations': [...GUARDED, 'src/telemetry'],
  'src/control': [...GUARDED, 'src/telemetry'],
  'src/processes': ['src', 'rehearsal'],
  client: ['src/protocol/gen', 'src/protocol/error-kinds.ts'],
  // What talks to a gateway knows the wire and nothing else; the library beside it stands on the engine's own rooms.
  'sdk/grants.ts': ['sdk/grant-wire.ts'],
  'sdk/grant-wire.ts': ['src/protocol/gen', 'src/protocol/error-kinds.ts', 'src/vocabulary/award-type.ts'],
  sdk: ['src'],
  web: ['client'],
  'rehearsal/crowd': ['src/protocol/gen'],
  'rehearsal/audit': [],
  'rehearsal/faults': [],
};

/** Calls that only one place may make: time and chance are handed in, people read what processes print. */
const BANNED: readonly { readonly call: RegExp; readonly why: string; readonly except: readonly string[] }[] =
  [
    { call: /\bMath\.random\(/, why: 'chance is handed in (src/processes/randomness.ts)', except: [] },
    {
      call: /\bDate\.now\(/,
      why: 'time is handed in (src/processes/clock.ts)',
      except: ['src/processes/clock.ts'],
    },
    { call: /\bconsole\.\w+\(/, why: 'the logger is handed in', except: [] },
    { call: /SELECT \*/i, why: 'columns are named', except: [] },
    { call: /\b(TODO|FIXME|XXX)\b/, why: 'open ends are issues', except: [] },
  ];
const LINES_MAX = 420;

const isTest = (file: string): boolean =>
  /\.test\.tsx?$|\.contract\.ts$/.test(file) || file.includes('/testing/');
const files = ['src', 'client', 'sdk', 'web', 'rehearsal']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath, entry.name))
  .filter((file) => /\.(ts|tsx|sql|lua)$/.test(file) && !file.includes('/gen/') && !file.endsWith('.d.ts'));

const problems: string[] = [];
const imports = new Map<string, string[]>();
const isInside = (file: string, room: string): boolean => file === room || file.startsWith(`${room}/`);
const roomOf = (file: string): string | undefined =>
  Object.keys(MAY_IMPORT).find((room) => isInside(file, room));
/** A station's own folder is its room: siblings are strangers. */
const ownPlaceOf = (file: string): string =>
  file.startsWith('src/stations/') ? file.split('/').slice(0, 3).join('/') : (roomOf(file) ?? file);

for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) =>
    path.join(path.dirname(file), match[1]!),
  );
  imports.set(file, found);
  if (isTest(file)) continue;
  const allowed = MAY_IMPORT[roomOf(file) ?? ''];
  for (const target of found) {
    if (isInside(target, ownPlaceOf(file)) || allowed?.some((room) => isInside(target, room))) continue;
    problems.push(`${file} imports ${target}: not in the import table`);
  }
  for (const { call, why, except } of BANNED) {
    if (file.startsWith('src/') && !except.includes(file) && call.test(withoutComments(text, file)))
      problems.push(`${file} has ${call.source}: ${why}`);
  }
  const lines = text.split('\n').length;
  if (lines > LINES_MAX)
    problems.push(`${file} has ${lines} lines: at most ${LINES_MAX}, so that it fits a head`);
}

function withoutComments(text: string, file: string): string {
  return /\.(sql|lua)$/.test(file)
    ? text.replace(/--.*$/gm, '')
    : text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

/** Dead files: nothing imports them, and nobody starts them. */
const ENTRIES = [
  'src/processes/cli/main.ts',
  'web/main.tsx',
  'client/index.ts',
  'sdk/index.ts',
  'sdk/grants.ts',
  'rehearsal/crowd/index.ts',
];
const everywhere = ['test', 'bench', 'tools']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
  .map((entry) => path.join(entry.parentPath, entry.name));
const reached = new Set(ENTRIES);
for (const file of everywhere) {
  for (const match of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g))
    reached.add(path.join(path.dirname(file), match[1]!));
}
for (const targets of imports.values()) for (const target of targets) reached.add(target);
for (const file of files)
  if (!reached.has(file) && !isTest(file)) problems.push(`${file} is imported by nothing`);

/** Cycles, by depth-first search. */
const state = new Map<string, 'open' | 'done'>();
function visit(file: string, trail: readonly string[]): void {
  if (state.get(file) === 'done' || !imports.has(file)) return;
  if (state.get(file) === 'open') {
    problems.push(`a cycle: ${[...trail.slice(trail.indexOf(file)), file].join(' → ')}`);
    return;
  }
  state.set(file, 'open');
  for (const target of imports.get(file)!) visit(target, [...trail, file]);
  state.set(file, 'done');
}
for (const file of imports.keys()) visit(file, []);

for (const problem of problems) process.stdout.write(`${problem}\n`);
process.stdout.write(`tidy looked at ${files.length} files: ${problems.length} problems\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
