import { Type } from 'typebox';

/**
 * The part of the Kubernetes API (v1, apps/v1, policy/v1, networking.k8s.io/v1) that deploy/kubernetes uses, written
 * down from its reference. What is not here is refused, so a slip of the pen is found: the API server itself would
 * drop an unknown field with no more than a warning.
 */
const strict = { additionalProperties: false } as const;
const object = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(properties, strict);
const Name = Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' });
const Labels = Type.Record(Type.String(), Type.String());
const Quantity = Type.String({ pattern: '^[0-9]+(m|Ki|Mi|Gi)?$' });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const Selector = object({ matchLabels: Labels });
const Metadata = object({ name: Name, namespace: Type.Optional(Name), labels: Type.Optional(Labels) });

const Probe = object({
  httpGet: object({ path: Type.String({ pattern: '^/' }), port: Type.Union([Name, Port]) }),
  periodSeconds: Type.Integer({ minimum: 1 }),
  timeoutSeconds: Type.Optional(Type.Integer({ minimum: 1 })),
  failureThreshold: Type.Integer({ minimum: 1 }),
});

const Container = object({
  name: Name,
  image: Type.String({ pattern: '^[a-z0-9./-]+:[A-Za-z0-9._-]+$' }),
  args: Type.Array(Type.String()),
  envFrom: Type.Array(object({ configMapRef: object({ name: Name }) })),
  env: Type.Optional(
    Type.Array(
      object({
        name: Type.String({ pattern: '^[A-Z_]+$' }),
        valueFrom: object({ secretKeyRef: object({ name: Name, key: Type.String() }) }),
      }),
    ),
  ),
  ports: Type.Array(object({ name: Name, containerPort: Port })),
  startupProbe: Probe,
  livenessProbe: Probe,
  readinessProbe: Probe,
  lifecycle: object({ preStop: object({ exec: object({ command: Type.Array(Type.String()) }) }) }),
  resources: object({
    requests: object({ cpu: Quantity, memory: Quantity }),
    limits: object({ memory: Quantity }),
  }),
  securityContext: object({
    allowPrivilegeEscalation: Type.Literal(false),
    readOnlyRootFilesystem: Type.Literal(true),
    capabilities: object({ drop: Type.Array(Type.Literal('ALL')) }),
  }),
  volumeMounts: Type.Array(
    object({
      name: Name,
      mountPath: Type.String({ pattern: '^/' }),
      readOnly: Type.Optional(Type.Boolean()),
    }),
  ),
});

const Volume = Type.Union([
  object({ name: Name, emptyDir: object({}) }),
  object({ name: Name, secret: object({ secretName: Name }) }),
  object({ name: Name, persistentVolumeClaim: object({ claimName: Name }) }),
]);

const Template = object({
  metadata: object({ labels: Labels }),
  spec: object({
    automountServiceAccountToken: Type.Literal(false),
    terminationGracePeriodSeconds: Type.Integer({ minimum: 1 }),
    topologySpreadConstraints: Type.Optional(
      Type.Array(
        object({
          maxSkew: Type.Integer({ minimum: 1 }),
          topologyKey: Type.String(),
          whenUnsatisfiable: Type.Enum(['ScheduleAnyway', 'DoNotSchedule']),
          labelSelector: Selector,
        }),
      ),
    ),
    securityContext: object({
      runAsNonRoot: Type.Literal(true),
      runAsUser: Type.Integer({ minimum: 1 }),
      runAsGroup: Type.Integer({ minimum: 1 }),
      fsGroup: Type.Integer({ minimum: 1 }),
      seccompProfile: object({ type: Type.Literal('RuntimeDefault') }),
    }),
    containers: Type.Array(Container, { minItems: 1 }),
    volumes: Type.Array(Volume),
  }),
});

const Claim = object({
  accessModes: Type.Array(Type.Enum(['ReadWriteOnce', 'ReadWriteMany'])),
  resources: object({ requests: object({ storage: Quantity }) }),
});

const Deployment = object({
  apiVersion: Type.Literal('apps/v1'),
  kind: Type.Literal('Deployment'),
  metadata: Metadata,
  spec: object({
    replicas: Type.Integer({ minimum: 1 }),
    strategy: Type.Optional(object({ type: Type.Enum(['Recreate', 'RollingUpdate']) })),
    selector: Selector,
    template: Template,
  }),
});

const StatefulSet = object({
  apiVersion: Type.Literal('apps/v1'),
  kind: Type.Literal('StatefulSet'),
  metadata: Metadata,
  spec: object({
    serviceName: Name,
    podManagementPolicy: Type.Enum(['Parallel', 'OrderedReady']),
    replicas: Type.Integer({ minimum: 1 }),
    selector: Selector,
    template: Template,
    volumeClaimTemplates: Type.Array(object({ metadata: Metadata, spec: Claim })),
  }),
});

const Service = object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('Service'),
  metadata: Metadata,
  spec: object({
    clusterIP: Type.Optional(Type.Literal('None')),
    selector: Labels,
    ports: Type.Array(object({ name: Name, port: Port, targetPort: Type.Union([Name, Port]) })),
  }),
});

const Disruption = object({
  apiVersion: Type.Literal('policy/v1'),
  kind: Type.Literal('PodDisruptionBudget'),
  metadata: Metadata,
  spec: object({ maxUnavailable: Type.Integer({ minimum: 1 }), selector: Selector }),
});

const Peer = Type.Union([object({ podSelector: Selector }), object({ namespaceSelector: Selector })]);
const PolicyPorts = Type.Array(object({ protocol: Type.Enum(['TCP', 'UDP']), port: Port }));
const Policy = object({
  apiVersion: Type.Literal('networking.k8s.io/v1'),
  kind: Type.Literal('NetworkPolicy'),
  metadata: Metadata,
  spec: object({
    podSelector: Type.Union([Selector, object({})]),
    policyTypes: Type.Array(Type.Enum(['Ingress', 'Egress'])),
    ingress: Type.Optional(Type.Array(object({ from: Type.Optional(Type.Array(Peer)), ports: PolicyPorts }))),
    egress: Type.Optional(Type.Array(object({ to: Type.Optional(Type.Array(Peer)), ports: PolicyPorts }))),
  }),
});

const Namespace = object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('Namespace'),
  metadata: Metadata,
});
const ConfigMap = object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('ConfigMap'),
  metadata: Metadata,
  data: Type.Record(Type.String(), Type.String()),
});
const Secret = object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('Secret'),
  metadata: Metadata,
  stringData: Type.Record(Type.String(), Type.String()),
});
const PersistentVolumeClaim = object({
  apiVersion: Type.Literal('v1'),
  kind: Type.Literal('PersistentVolumeClaim'),
  metadata: Metadata,
  spec: Claim,
});

/** By kind. */
export const KINDS = {
  Deployment,
  StatefulSet,
  Service,
  PodDisruptionBudget: Disruption,
  NetworkPolicy: Policy,
  Namespace,
  ConfigMap,
  Secret,
  PersistentVolumeClaim,
} as const;

type Kinds = { [K in keyof typeof KINDS]: Type.Static<(typeof KINDS)[K]> };
export type Manifest = Kinds[keyof Kinds];
export type Workload = Kinds['Deployment'] | Kinds['StatefulSet'];
