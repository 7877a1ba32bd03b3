import type { TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Errors } from 'typebox/value';
import { nearest } from './nearest.ts';
import type { PathPart, PathProblem } from './problems.ts';

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
export function checkStructure(schema: TSchema, content: unknown): PathProblem[] {
  const errors = Errors(schema, content) as unknown as SchemaError[];
  return errors
    .filter((error) => error.keyword !== 'boolean')
    .flatMap((error) =>
      problemsOf(error, valueAt(content, partsOf(error.instancePath)), schemaAt(schema, error.schemaPath)),
    );
}

const partsOf = (pointer: string): PathPart[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^[0-9]+$/.test(part) ? Number(part) : part));

const valueAt = (content: unknown, path: readonly PathPart[]): unknown =>
  path.reduce<unknown>((at, part) => (at as Record<PathPart, unknown> | undefined)?.[part], content);

function problemsOf(error: SchemaError, value: unknown, at: JsonSchema | undefined): PathProblem[] {
  const path = partsOf(error.instancePath);
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((at?.properties as object | undefined) ?? {});
      return (error.params.additionalProperties as string[]).map((name) => ({
        path: [...path, name],
        message: `there is no field "${name}" here`,
        expected: nearest(name, known) ?? `one of ${known.join(', ')}`,
        isAtName: true,
      }));
    }
    case 'required':
      return (error.params.requiredProperties as string[]).map((name) => ({
        path,
        message: `the field "${name}" is missing`,
        expected: expectedOf((at?.properties as Record<string, JsonSchema> | undefined)?.[name]),
      }));
    default:
      return [
        {
          path,
          message: wrongOf(error, value),
          expected: (error.keyword === 'enum' && nearest(value, at?.enum)) || expectedOf(at),
        },
      ];
  }
}

/** What is wrong with a value, in words that need no JSON Schema. */
function wrongOf({ keyword, message }: SchemaError, value: unknown): string {
  switch (keyword) {
    case 'type':
      return `${shown(value)} is ${kindOf(value)}`;
    case 'minimum':
      return `${shown(value)} is too small`;
    case 'maximum':
      return `${shown(value)} is too large`;
    case 'pattern':
      return `${shown(value)} has characters, or a length, that an id can't have`;
    case 'enum':
      return `${shown(value)} is none of the choices`;
    case 'minItems':
      return 'the list is empty';
    case 'maxItems':
      return `the list has ${(value as unknown[]).length} entries`;
    case 'minLength':
      return 'the text is empty';
    case 'maxLength':
      return `the text has ${(value as string).length} characters`;
    default:
      return message.replace('must', 'it must');
  }
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'no value';
  if (Array.isArray(value) || typeof value === 'object') return 'of the wrong kind here';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return 'a yes or no';
  return Number.isInteger(value) ? 'a number' : 'not a whole number';
}

type JsonSchema = Record<string, unknown>;

/** The schema that a schema path like #/properties/a/items/properties/b means. */
function schemaAt(schema: TSchema, schemaPath: string): JsonSchema | undefined {
  let at: unknown = schema;
  for (const part of schemaPath.split('/').slice(1)) at = (at as JsonSchema | undefined)?.[part];
  return at as JsonSchema | undefined;
}

function expectedOf(schema: JsonSchema | undefined): string {
  if (!schema) return 'what the schema says (schema/)';
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.join(', ')}`;
  const description = (schema.description as string | undefined) ?? '';
  const kind = KINDS[String(schema.type)]?.(schema) ?? String(schema.type);
  return description ? `${kind}: ${description}` : kind;
}

const KINDS: Readonly<Record<string, (schema: JsonSchema) => string>> = {
  integer: ({ minimum, maximum }) => `a whole number from ${minimum} to ${maximum}`,
  string: ({ maxLength }) => (maxLength ? `text of 1 to ${maxLength} characters` : 'text'),
  boolean: () => 'true or false',
  array: ({ minItems, maxItems }) => `a list of ${minItems ?? 0} to ${maxItems} entries`,
  object: ({ properties }) =>
    properties ? `a mapping with ${Object.keys(properties as object).join(', ')}` : 'a mapping',
};
