import { Settings } from 'typebox/system';
import { Errors } from 'typebox/value';
import type { PathPart, PathProblem } from './problems.ts';
import { CampaignFile } from './schema.ts';

// By default it stops at eight; a campaign's author wants them all.
Settings.Set({ maxErrors: 2_000 });

interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: Record<string, unknown>;
}

/** What the schema says against a file: shape, types, bounds, unknown and missing fields. */
export function checkStructure(content: unknown): PathProblem[] {
  const errors = Errors(CampaignFile, content) as unknown as SchemaError[];
  return errors.filter((error) => error.keyword !== 'boolean').flatMap(problemsOf);
}

const partsOf = (pointer: string): PathPart[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^[0-9]+$/.test(part) ? Number(part) : part));

function problemsOf(error: SchemaError): PathProblem[] {
  const path = partsOf(error.instancePath);
  const at = schemaAt(error.schemaPath);
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((at?.properties as object | undefined) ?? {});
      return (error.params.additionalProperties as string[]).map((name) => ({
        path: [...path, name],
        message: `there is no field "${name}" here`,
        expected: nearest(name, known) ?? `one of ${known.join(', ')}`,
      }));
    }
    case 'required':
      return (error.params.requiredProperties as string[]).map((name) => ({
        path,
        message: `the field "${name}" is missing`,
        expected: expectedOf((at?.properties as Record<string, JsonSchema> | undefined)?.[name]),
      }));
    default:
      return [{ path, message: error.message.replace('must', 'it must'), expected: expectedOf(at) }];
  }
}

type JsonSchema = Record<string, unknown>;

/** The schema that a schema path like #/properties/a/items/properties/b means. */
function schemaAt(schemaPath: string): JsonSchema | undefined {
  let at: unknown = CampaignFile;
  for (const part of schemaPath.split('/').slice(1)) at = (at as JsonSchema | undefined)?.[part];
  return at as JsonSchema | undefined;
}

function expectedOf(schema: JsonSchema | undefined): string {
  if (!schema) return 'see schema/campaign.schema.json';
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.join(', ')}`;
  const description = (schema.description as string | undefined) ?? '';
  const kind =
    schema.type === 'integer'
      ? `a whole number from ${schema.minimum} to ${schema.maximum}`
      : `${/^[aeiou]/.test(String(schema.type)) ? 'an' : 'a'} ${schema.type}`;
  return description ? `${kind}: ${description}` : kind;
}

/** The known name that somebody may have meant. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(1, Math.floor(name.length / 3))
    ? `did you mean "${best.candidate}"?`
    : undefined;
}

export function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8) return 99;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
