import { z } from 'zod';
import type { Event, Node, Pod, Service } from '../../kube/types.ts';
import type { NetworkPolicy } from '../../path/world.ts';

/**
 * API objects as far as the path of a hostPort is concerned. Picked, not stripped: what is not named here (environments, commands,
 * volumes, most annotations) is neither held in memory nor saved, so that a secret in a new field cannot slip through. What has
 * the wrong type is an error that names the field: an observation that came as a file may hold anything.
 */

/** A field that may be missing, or null, which Go writes for what is empty. */
function maybe<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => value ?? undefined, schema.optional());
}

/** Without the fields that are missing: absent and undefined are one, and JSON of it is short. */
function compact<T extends object>(object: T): T {
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] === undefined) delete object[key];
  return object;
}

function fields<S extends z.ZodRawShape>(shape: S) {
  return z.object(shape).transform((object) => compact(object as object) as typeof object);
}

const text = maybe(z.string());
const flag = maybe(z.boolean());
const number = maybe(z.number());
const words = maybe(z.array(z.string()));
const labels = maybe(z.record(z.string(), z.string()));
const intOrText = maybe(z.union([z.number(), z.string()]));

/** Annotations that decide something on the path. */
const ANNOTATIONS: readonly string[] = [
  'kubernetes.io/config.hash',
  'kubernetes.io/config.source',
  'kubernetes.io/config.mirror',
];

const annotations = labels.transform((all) => {
  const kept = Object.entries(all ?? {}).filter(([name]) => ANNOTATIONS.includes(name));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
});

const metadata = maybe(
  fields({
    name: text,
    namespace: text,
    uid: text,
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
    z.array(
      fields({ name: text, hostPort: number, containerPort: z.number(), protocol: text, hostIP: text }),
    ),
  ),
});

const containerState = maybe(
  fields({
    waiting: maybe(fields({ reason: text, message: text })),
    running: maybe(fields({ startedAt: text })),
    terminated: maybe(
      fields({ reason: text, message: text, exitCode: number, startedAt: text, finishedAt: text }),
    ),
  }),
);

const conditions = maybe(
  z.array(fields({ type: text, status: text, reason: text, message: text, lastTransitionTime: text })),
);

const podSchema = fields({
  metadata,
  spec: maybe(
    fields({
      nodeName: text,
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
      podIP: text,
      podIPs: maybe(z.array(fields({ ip: text }))),
      hostIP: text,
      startTime: text,
      conditions,
      containerStatuses: maybe(
        z.array(fields({ name: text, ready: flag, restartCount: number, state: containerState })),
      ),
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
      addresses: maybe(z.array(fields({ type: text, address: text }))),
      conditions,
      nodeInfo: maybe(
        fields({ architecture: text, kernelVersion: text, osImage: text, containerRuntimeVersion: text }),
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
          fields({ name: text, port: number, targetPort: intOrText, nodePort: number, protocol: text }),
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
  involvedObject: fields({ kind: text, namespace: text, name: text, uid: text }),
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

/** The parsers by the name of the field of a world. Each throws a ZodError. */
export const slim = {
  nodes: (object: unknown) => nodeSchema.parse(object) as Node,
  pods: (object: unknown) => podSchema.parse(object) as Pod,
  services: (object: unknown) => serviceSchema.parse(object) as Service,
  events: (object: unknown) => eventSchema.parse(object) as Event,
  policies: (object: unknown) => policySchema.parse(object) as NetworkPolicy,
} as const;
