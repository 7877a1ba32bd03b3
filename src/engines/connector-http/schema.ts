import { type Static, Type } from 'typebox';
import { ID_PART } from '../../vocabulary/ids.ts';
import { PLACEHOLDERS } from './template.ts';

/** The connectors file as it is written. Descriptions become the editor's help (schema/connectors.schema.json). */
const strict = { additionalProperties: false } as const;
const FILLED = `Filled in: ${Object.keys(PLACEHOLDERS)
  .map((name) => `{${name}}`)
  .join(' ')}.`;
const text = (description: string, maxLength = 500) => Type.String({ minLength: 1, maxLength, description });
const envName = (whose: string) =>
  Type.Optional(text(`Name of the environment variable that holds ${whose}. Never the secret itself.`, 100));
const pointer = (description: string) =>
  Type.Optional(text(`${description} A JSON pointer, as /data/code or /items/0/id.`));

const Request = Type.Object(
  {
    method: Type.Enum(['GET', 'POST', 'PUT'], { description: 'HTTP method.' }),
    path: text(`Behind the url, with a query if need be. ${FILLED}`),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: `Beside those of the authorization. ${FILLED}`,
      }),
    ),
    body: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: `Sent as JSON; texts are filled in. ${FILLED}`,
      }),
    ),
  },
  strict,
);

const AUTH_KINDS = ['none', 'bearer', 'basic', 'hmac-sha256'] as const;

const Auth = Type.Object(
  {
    kind: Type.Enum([...AUTH_KINDS], { description: 'How they know us.' }),
    tokenEnv: envName('the bearer token'),
    userEnv: envName('the user'),
    passwordEnv: envName('the password'),
    secretEnv: envName('the key of the HMAC'),
    signs: Type.Optional(
      text('What the HMAC is over: {timestamp} {method} {path} {body}. Default {timestamp}.{body}'),
    ),
    encoding: Type.Optional(Type.Enum(['hex', 'base64'], { description: 'Of the HMAC. Default hex' })),
    signatureHeader: Type.Optional(text('Header of the HMAC. Default x-signature', 100)),
    timestampHeader: Type.Optional(
      text('Header of the time, in seconds since 1970. Default x-timestamp', 100),
    ),
  },
  { ...strict, description: 'Authorization; secrets stand in environment variables only.' },
);

const MEANINGS = ['fulfilled', 'rejected', 'failed', 'processing', 'unheard-of', 'unknown'] as const;

const AnswerRule = Type.Object(
  {
    to: Type.Optional(Type.Enum(['give', 'query'], { description: 'Of answers to this question only.' })),
    status: Type.Optional(
      Type.Unsafe<unknown>({ description: 'HTTP status: a number as 200, or a class as 4xx.' }),
    ),
    json: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'JSON pointers and the values that must stand there, all of them.',
      }),
    ),
    means: Type.Enum([...MEANINGS], {
      description:
        'fulfilled: handed out. rejected: not handed out, and never will be. failed: certainly not handed out, asking again may help. processing: ask again. unheard-of: they know no such order. unknown: anything else.',
    }),
    voucher: pointer('What the person gets: a code, a number, a link; only of what is fulfilled.'),
    reason: pointer('Why not.'),
  },
  strict,
);

const ConnectorEntry = Type.Object(
  {
    name: Type.String({
      pattern: ID_PART.source,
      description: 'As scenes name it in fulfil.connector. Letters, digits and hyphens, at most 32.',
    }),
    url: text('Where they are: http:// or https://, with a path if need be, without secrets.'),
    timeoutMs: Type.Optional(
      Type.Integer({ minimum: 50, maximum: 30_000, description: 'For a whole exchange. Default 3000' }),
    ),
    concurrencyMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        description:
          'Questions at once of each wallet process; what reaches them is this times the wallets. Default 8',
      }),
    ),
    perSecondMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000,
        description:
          'Questions a second of each wallet process; what reaches them is this times the wallets. Up to a second’s worth may come at once after a pause. No limit, when left out.',
      }),
    ),
    auth: Type.Optional(Auth),
    give: Request,
    query: Request,
    echo: Type.Optional(
      Type.Object(
        {
          at: text('JSON pointer to where their answers repeat what they are about.'),
          is: text(`What stands there. ${FILLED}`),
        },
        { ...strict, description: 'An answer with something else there is unknown.' },
      ),
    ),
    answers: Type.Array(AnswerRule, {
      minItems: 1,
      maxItems: 100,
      description: 'In order: the first that fits says what an answer means. What none fits is unknown.',
    }),
  },
  strict,
);

export const ConnectorsFile = Type.Object(
  { connectors: Type.Array(ConnectorEntry, { minItems: 1, maxItems: 200 }) },
  { ...strict, $id: 'https://hongbao.invalid/schema/connectors.json', title: 'Hongbao connectors' },
);

export type ConnectorsDraft = Static<typeof ConnectorsFile>;
export type ConnectorDraft = ConnectorsDraft['connectors'][number];
export type RequestDraft = Static<typeof Request>;
export type AuthDraft = Static<typeof Auth>;
export type AnswerRuleDraft = Static<typeof AnswerRule>;

/** The published JSON Schema of the connectors file, for editors (yaml-language-server). */
export const connectorsJsonSchema = (): string =>
  `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...ConnectorsFile }, undefined, 2)}\n`;
