import { Type } from 'typebox';

/**
 * The part of the compose specification that compose.yaml uses, written down from it (compose-spec: services,
 * networks, volumes, configs, secrets). What is not here is refused, so a slip of the pen is found, and a new key has
 * to be looked up first.
 */
const strict = { additionalProperties: false } as const;
const Duration = Type.String({ pattern: '^[0-9]+(ms|s|m|h)$' });
const Names = Type.Array(Type.String({ pattern: '^[a-zA-Z0-9._-]+$' }), { uniqueItems: true });
const Named = <T extends Parameters<typeof Type.Record>[1]>(value: T) =>
  Type.Record(Type.String({ pattern: '^[a-zA-Z0-9._-]+$' }), value, strict);

const Healthcheck = Type.Object(
  {
    test: Type.Array(Type.String(), { minItems: 2 }),
    interval: Duration,
    timeout: Duration,
    retries: Type.Integer({ minimum: 1 }),
    start_period: Type.Optional(Duration),
  },
  strict,
);

const DependsOn = Named(
  Type.Object(
    { condition: Type.Enum(['service_started', 'service_healthy', 'service_completed_successfully']) },
    strict,
  ),
);

const Service = Type.Object(
  {
    image: Type.String({ pattern: '^[a-z0-9./-]+(:[A-Za-z0-9._-]+)?$' }),
    build: Type.Optional(Type.String()),
    command: Type.Optional(Type.Array(Type.String())),
    restart: Type.Optional(Type.Enum(['no', 'always', 'on-failure', 'unless-stopped'])),
    environment: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Z_][A-Z0-9_]*$' }), Type.String(), strict),
    ),
    networks: Type.Optional(
      Type.Union([Names, Named(Type.Object({ ipv4_address: Type.String({ format: 'ipv4' }) }, strict))]),
    ),
    ports: Type.Optional(Type.Array(Type.String({ pattern: '^127\\.0\\.0\\.1:[0-9]+:[0-9]+$' }))),
    volumes: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9-]+:/[a-z/]+$' }))),
    configs: Type.Optional(
      Type.Array(Type.Object({ source: Type.String(), target: Type.String({ pattern: '^/' }) }, strict)),
    ),
    secrets: Type.Optional(Names),
    healthcheck: Type.Optional(Healthcheck),
    depends_on: Type.Optional(DependsOn),
    stop_grace_period: Type.Optional(Duration),
    stop_signal: Type.Optional(Type.String({ pattern: '^SIG[A-Z]+$' })),
  },
  strict,
);
export type ComposeService = Type.Static<typeof Service>;

const File = Type.Object({ file: Type.String() }, strict);

export const Compose = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]*$' }),
    services: Named(Service),
    networks: Named(
      Type.Object(
        {
          ipam: Type.Object({ config: Type.Array(Type.Object({ subnet: Type.String() }, strict)) }, strict),
        },
        strict,
      ),
    ),
    configs: Named(File),
    secrets: Named(File),
    volumes: Named(Type.Object({}, strict)),
  },
  strict,
);
export type Compose = Type.Static<typeof Compose>;
