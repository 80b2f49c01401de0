import { z } from 'zod';
import type { Event, Node, Pod, Service } from '../kube/types.ts';
import { textWithoutSecrets } from '../node/report/secrets.ts';
import type { NetworkPolicy, World } from '../path/model/world.ts';
import { boundedText } from '../util/bounded.ts';
import { MAX_JSON_DEPTH } from '../util/json.ts';
import { schemaProblem } from './schema-problem.ts';

/**
 * API objects as far as the path of a hostPort is concerned. Picked, not stripped: what is not named here (environments, commands,
 * volumes, most annotations) is neither held in memory nor saved, so that a secret in a new field cannot slip through. What has
 * the wrong type is an error that names the field: an observation that came as a file may hold anything.
 */

// Plain objects only: transformations would triple the time, and a large cluster has tens of thousands of pods.
const fields = z.object;
const maybe = <T extends z.ZodType>(schema: T) => schema.optional();

const text = z.string().optional();
/** Names, uids and addresses, which a table shows in columns. The longest that the API accepts (RFC 1123 subdomain). */
const MAX_NAME = 253;
const name = boundedText({ most: MAX_NAME }).optional();
const flag = z.boolean().optional();
const number = z.number().optional();
const port = z.number().int().min(0).max(65_535);
const protocol = z.enum(['TCP', 'UDP', 'SCTP']).optional();
const words = z.array(z.string()).optional();
const labels = z.record(z.string(), z.string()).optional();
const intOrText = z.union([z.number(), z.string()]).optional();

/** Annotations that decide something on the path. */
const annotations = maybe(
  fields({
    'kubernetes.io/config.hash': text,
    'kubernetes.io/config.source': text,
    'kubernetes.io/config.mirror': text,
  }),
);

const metadata = maybe(
  fields({
    name,
    namespace: name,
    uid: name,
    labels,
    annotations,
    creationTimestamp: text,
    deletionTimestamp: text,
    ownerReferences: maybe(
      z.array(fields({ apiVersion: text, kind: text, name: text, uid: text, controller: flag })),
    ),
  }),
);

const container = fields({
  name: text,
  image: text,
  restartPolicy: text,
  ports: maybe(
    z.array(fields({ name: text, hostPort: port.optional(), containerPort: port, protocol, hostIP: name })),
  ),
});

const containerState = maybe(
  fields({
    waiting: maybe(fields({ reason: text, message: text })),
    running: maybe(fields({ startedAt: text })),
    // Its message is what the application wrote to its termination log.
    terminated: maybe(fields({ reason: text, exitCode: number, startedAt: text, finishedAt: text })),
  }),
);

const containerStatuses = maybe(
  z.array(fields({ name: text, ready: flag, restartCount: number, state: containerState })),
);

const conditions = maybe(z.array(fields({ type: text, status: text, reason: text, message: text })));

const podSchema = fields({
  metadata,
  spec: maybe(
    fields({
      nodeName: name,
      hostNetwork: flag,
      nodeSelector: labels,
      schedulerName: text,
      containers: z.array(container),
      initContainers: maybe(z.array(container)),
    }),
  ),
  status: maybe(
    fields({
      phase: text,
      reason: text,
      message: text,
      podIP: name,
      podIPs: maybe(z.array(fields({ ip: name }))),
      hostIP: text,
      startTime: text,
      conditions,
      containerStatuses,
      initContainerStatuses: containerStatuses,
    }),
  ),
});

const nodeSchema = fields({
  metadata,
  spec: maybe(
    fields({
      podCIDR: text,
      podCIDRs: words,
      unschedulable: flag,
      taints: maybe(z.array(fields({ key: text, value: text, effect: text }))),
    }),
  ),
  status: maybe(
    fields({
      addresses: maybe(z.array(fields({ type: text, address: name }))),
      conditions,
      nodeInfo: maybe(
        fields({
          architecture: text,
          kernelVersion: text,
          osImage: text,
          containerRuntimeVersion: text,
          operatingSystem: text,
          machineID: text,
          bootID: text,
        }),
      ),
    }),
  ),
});

const serviceSchema = fields({
  metadata,
  spec: maybe(
    fields({
      type: text,
      selector: labels,
      clusterIP: text,
      clusterIPs: words,
      externalIPs: words,
      externalTrafficPolicy: text,
      ports: maybe(
        z.array(
          fields({
            name: text,
            port: port.optional(),
            targetPort: intOrText,
            nodePort: port.optional(),
            protocol,
          }),
        ),
      ),
    }),
  ),
  status: maybe(
    fields({
      loadBalancer: maybe(fields({ ingress: maybe(z.array(fields({ ip: text, hostname: text }))) })),
    }),
  ),
});

const eventSchema = fields({
  involvedObject: fields({ kind: text, namespace: text, name: text, uid: text, fieldPath: text }),
  type: text,
  reason: text,
  message: text,
  count: number,
  firstTimestamp: text,
  lastTimestamp: text,
  eventTime: text,
  source: maybe(fields({ component: text, host: text })),
});

const policySchema = fields({ metadata, spec: maybe(z.record(z.string(), z.unknown())) });

/** The parsers by the name of the field of a world. Each throws an error. */
export const slim = {
  nodes: (object: unknown) => nodeSchema.parse(withoutNulls(object)) as Node,
  pods: (object: unknown) => podSchema.parse(withoutNulls(object)) as Pod,
  services: (object: unknown) => serviceSchema.parse(withoutNulls(object)) as Service,
  // Events quote programs, which quote files.
  events: (object: unknown) => {
    const event = eventSchema.parse(withoutNulls(object));
    const { message } = event;
    return (message === undefined ? event : { ...event, message: textWithoutSecrets(message) }) as Event;
  },
  policies: (object: unknown) => policySchema.parse(withoutNulls(object)) as NetworkPolicy,
} as const;

type Kind = keyof typeof slim;
type Slimmed<K extends Kind> = ReturnType<(typeof slim)[K]>;
type Unread = NonNullable<World['unread']>[number];

/** The singular of each kind. */
const SINGULAR: Readonly<Record<Kind, string>> = {
  nodes: 'node',
  pods: 'pod',
  services: 'service',
  events: 'event',
  policies: 'network policy',
};

/** What it is about when one of a kind is not read. */
const KIND_OF_UNKNOWN = {
  nodes: 'node',
  pods: 'pod',
  services: 'objects',
  events: 'objects',
  policies: 'objects',
} as const satisfies Record<Kind, Unread['kind']>;

/** How many unreadable objects of a kind are named. */
const MAX_NAMED = 100;

/** Reads objects of one kind, part by part. A malformed one is unread, with the reason; all others are read. */
export class ObjectReader<K extends Kind> {
  readonly objects: Slimmed<K>[] = [];
  readonly #kind: K;
  /** Names where the objects come from, for errors. */
  readonly #source: string;
  readonly #unread: Unread[] = [];
  #looked = 0;
  #failed = 0;

  constructor(kind: K, source: string) {
    this.#kind = kind;
    this.#source = source;
  }

  add(items: Iterable<unknown>): void {
    for (const item of items) {
      try {
        this.objects.push(slim[this.#kind](item) as Slimmed<K>);
      } catch (cause) {
        this.#failed++;
        if (this.#failed <= MAX_NAMED) this.#unread.push(this.#unreadOf(item, cause));
      }
      this.#looked++;
    }
  }

  /** Those that could not be read. */
  get unread(): readonly Unread[] {
    const more = this.#failed - MAX_NAMED;
    if (more <= 0) return this.#unread;
    return [
      ...this.#unread,
      {
        kind: KIND_OF_UNKNOWN[this.#kind],
        what: `${more} more ${this.#kind}`,
        why: 'malformed API objects',
      },
    ];
  }

  #unreadOf(item: unknown, cause: unknown): Unread {
    const { metadata, spec } = asFields(item);
    const { namespace, name } = asFields(metadata);
    const node = this.#kind === 'nodes' ? name : this.#kind === 'pods' ? asFields(spec).nodeName : undefined;
    const place = `${this.#source}[${this.#looked}]`;
    const called = isName(name) ? `${isName(namespace) ? `${namespace}/` : ''}${name}` : place;
    return {
      kind: KIND_OF_UNKNOWN[this.#kind],
      ...(isName(node) ? { node } : {}),
      what: `${SINGULAR[this.#kind]} ${called}`.slice(0, MAX_NAME),
      why: `${place}: ${schemaProblem(cause)}`,
    };
  }
}

function asFields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME;
}

/** The value without fields that are null, which Go writes for what is empty; the very same when there is none. */
function withoutNulls(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_JSON_DEPTH) throw new Error(`nested deeper than ${MAX_JSON_DEPTH} levels`);
  if (Array.isArray(value)) {
    const items = value.map((item) => withoutNulls(item, depth + 1));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  let copy: Record<string, unknown> | undefined;
  // Without a list of the fields: there are a dozen objects a pod, and nearly never a null.
  for (const key in value) {
    const field = (value as Record<string, unknown>)[key];
    if (typeof field !== 'object') continue;
    const kept = withoutNulls(field, depth + 1);
    if (kept === field && field !== null) continue;
    copy ??= { ...value };
    if (field === null) delete copy[key];
    else copy[key] = kept;
  }
  return copy ?? value;
}
