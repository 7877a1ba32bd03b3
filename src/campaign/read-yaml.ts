import type { TSchema } from 'typebox';
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';
import { checkStructure } from './check-structure.ts';
import { type CampaignProblem, formatPath, type PathPart, type PathProblem } from './problems.ts';

/** What a file of ours holds, or everything that is wrong with it. */
export type ReadFile<Draft> = { readonly draft: Draft } | { readonly problems: readonly CampaignProblem[] };

/** A kind of YAML file that people write. */
export interface FileKind<Draft> {
  readonly schema: TSchema;
  /** What such a file is, for messages: "a campaign, as in examples/gala.yaml". */
  readonly what: string;
  /** What a file may still get wrong when its shape is right. Of one that is not well formed, the parts that are. */
  readonly checkMeaning: (draft: Draft, of: { readonly isWellFormed: boolean }) => PathProblem[];
}

const FILE_CHARACTERS_MAX = 1 << 20;
const DEPTH_MAX = 30;
/** Nobody mends more at a time; a file of nothing but closing brackets has a mistake a byte. */
const PROBLEMS_MAX = 500;

/** Reads a file of a kind: the draft, or every mistake that is in it. Never throws. */
export function readYamlFile<Draft>(text: string, kind: FileKind<Draft>): ReadFile<Draft> {
  if (text.length > FILE_CHARACTERS_MAX)
    return whole(`the file has ${text.length} characters`, `at most ${FILE_CHARACTERS_MAX}`);
  if (text.includes('\0')) return whole('the file holds a NUL character', 'plain UTF-8 text');
  if (nestsTooDeep(text))
    return whole('it is nested too deep', `at most ${DEPTH_MAX} brackets inside one another`);
  try {
    return atMost(readYaml(text, kind));
  } catch (error) {
    if (error instanceof RangeError) return whole('it is nested too deep', `at most ${DEPTH_MAX} levels`);
    return whole(
      `it can't be read as YAML (${error instanceof Error ? error.message.slice(0, 100) : 'unknown'})`,
      `a YAML mapping: ${kind.what}`,
    );
  }
}

const whole = (message: string, expected: string): { problems: CampaignProblem[] } => ({
  problems: [{ line: 1, column: 1, path: '', message, expected }],
});

/** In the order of the file, and no more than anybody reads. */
function atMost<Draft>(read: ReadFile<Draft>): ReadFile<Draft> {
  if ('draft' in read) return read;
  const problems = [...read.problems].sort((a, b) => a.line - b.line || a.column - b.column);
  if (problems.length <= PROBLEMS_MAX) return { problems };
  const { line, column } = problems[PROBLEMS_MAX]!;
  const more = problems.length - PROBLEMS_MAX;
  const message = `and ${more} more mistakes from here on`;
  const last = { line, column, path: '', message, expected: 'the mistakes above mended first' };
  return { problems: [...problems.slice(0, PROBLEMS_MAX), last] };
}

/** Before the parser: it recurses, and a bomb of brackets would take its stack. */
function nestsTooDeep(text: string): boolean {
  let depth = 0;
  let deepest = 0;
  for (const character of text) {
    if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest > DEPTH_MAX;
}

function readYaml<Draft>(text: string, kind: FileKind<Draft>): ReadFile<Draft> {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    // The parser's own check compares each key with each: a minute for a megabyte of keys. checkScalars looks instead.
    uniqueKeys: false,
    stringKeys: true,
    prettyErrors: false,
  });
  if (!Array.isArray(documents) || documents.length === 0) return whole('the file is empty', kind.what);
  if (documents.length > 1)
    return whole('the file holds several documents', 'one document a file, without ---');
  const document = documents[0] as Document;
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems: CampaignProblem[] = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    path: '',
    message: error.message.startsWith('Maximum call stack') ? 'it is nested too deep' : error.message,
    expected: 'well-formed YAML, indented with spaces',
  }));
  problems.push(...checkScalars(document, at));
  if (problems.length > 0 && !isMap(document.contents)) return { problems };
  // Content that can't become plain objects is not looked into any further.
  const opaque =
    document.errors.some((error) => error.code === 'NON_STRING_KEY') ||
    problems.some((one) => one.message.includes('alias'));
  if (opaque || problems.length > PROBLEMS_MAX) return { problems };
  if (!isMap(document.contents)) return whole('the file is not a mapping', kind.what);

  const content: unknown = document.toJS({ maxAliasCount: 0 });
  const structural = checkStructure(kind.schema, content);
  const found: PathProblem[] = [...structural, ...meaningBeside(structural, content as Draft, kind)];
  problems.push(...found.slice(0, 2 * PROBLEMS_MAX).map((problem) => place(problem, document, at)));
  if (problems.length === 0) return { draft: content as Draft };
  return { problems };
}

/** What the content gets wrong besides its shape; a place whose shape is wrong is not spoken of twice. */
function meaningBeside<Draft>(
  structural: readonly PathProblem[],
  content: Draft,
  kind: FileKind<Draft>,
): PathProblem[] {
  const known = new Set(structural.map((problem) => formatPath(problem.path)));
  const meaning = kind.checkMeaning(content, { isWellFormed: structural.length === 0 });
  return meaning.filter((problem) => !known.has(formatPath(problem.path)));
}

type At = (offset: number) => { line: number; column: number };

/** What YAML allows and money does not: 1e3, 0x10, 1_000 as numbers; anchors and aliases; nesting by indentation. */
function checkScalars(document: Document, at: At): CampaignProblem[] {
  const problems: CampaignProblem[] = [];
  const say = (node: Node, message: string, expected: string) =>
    problems.push({ ...at(node.range?.[0] ?? 0), path: '', message, expected });
  visit(document, (_key, node, path) => {
    if (path.length > 3 * DEPTH_MAX) {
      if (isNode(node)) say(node, 'it is nested too deep', `at most ${DEPTH_MAX} levels`);
      return visit.SKIP;
    }
    if (isMap(node)) for (const again of repeatedKeys(node)) say(...again);
    if (isAlias(node))
      say(node, 'an alias stands here', 'the value itself: everything is said where it applies');
    if (
      isScalar(node) &&
      typeof node.value === 'number' &&
      !/^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(node.source ?? '')
    ) {
      say(node, `the number is written as ${node.source}`, 'plain digits, e.g. 1000');
    }
    return undefined;
  });
  return problems;
}

function repeatedKeys(map: YAMLMap): [Node, string, string][] {
  const seen = new Set<unknown>();
  return map.items.flatMap(({ key }): [Node, string, string][] => {
    if (!isScalar(key)) return [];
    if (seen.has(key.value))
      return [[key, `the field "${String(key.value)}" is there twice`, 'each field once']];
    seen.add(key.value);
    return [];
  });
}

/** The line and column of a problem's path; of the nearest node above it when the path itself is not in the file. */
function place(problem: PathProblem, document: Document, at: At): CampaignProblem {
  const { path, message, expected, isAtName = false } = problem;
  for (let length = path.length; length >= 0; length -= 1) {
    const offset = offsetOf(document, path.slice(0, length), isAtName && length === path.length);
    if (offset !== undefined) return { ...at(offset), path: formatPath(path), message, expected };
  }
  return { line: 1, column: 1, path: formatPath(path), message, expected };
}

function offsetOf(document: Document, path: readonly PathPart[], isAtName: boolean): number | undefined {
  const last = path.at(-1);
  const parent = path.length > 0 ? document.getIn(path.slice(0, -1), true) : undefined;
  if (typeof last === 'string' && isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last);
    if (isAtName && isNode(pair?.key)) return pair.key.range?.[0];
    return isNode(pair?.value) ? pair.value.range?.[0] : isNode(pair?.key) ? pair.key.range?.[0] : undefined;
  }
  const node = document.getIn([...path], true);
  return isNode(node) ? node.range?.[0] : undefined;
}
