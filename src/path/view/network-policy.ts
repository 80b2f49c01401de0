import { z } from 'zod';
import { lastingContainers } from '../../kube/pods.ts';
import { labelSelectorMatches } from '../../kube/selectors/label.ts';
import { contains, parseCidr } from '../../util/cidr.ts';
import { type IpAddress, parseIp } from '../../util/ip.ts';
import type { NetworkPolicy } from '../model/world.ts';
import { AWAY, answered, failed, probesFrom } from './probe-facts.ts';
import type { PathView, Scene } from './scene.ts';
import { neighbourOf } from './traces.ts';

/** The part of a NetworkPolicy's specification that says who may come in. Source: networking.k8s.io/v1. */
const specSchema = z.object({
  podSelector: z
    .object({
      matchLabels: z.record(z.string(), z.string()).optional(),
      matchExpressions: z
        .array(
          z.object({
            key: z.string(),
            operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
            values: z.array(z.string()).optional(),
          }),
        )
        .optional(),
    })
    .optional(),
  policyTypes: z.array(z.string()).optional(),
  ingress: z
    .array(
      z.object({
        from: z
          .array(
            z.object({
              ipBlock: z.object({ cidr: z.string(), except: z.array(z.string()).optional() }).optional(),
            }),
          )
          .optional(),
        ports: z
          .array(
            z.object({
              protocol: z.string().optional(),
              port: z.union([z.number(), z.string()]).optional(),
              endPort: z.number().optional(),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
});

type Spec = z.infer<typeof specSchema>;
type Ingress = NonNullable<Spec['ingress']>[number];

/** Policies that keep a machine outside the cluster from a mapping's container port. */
export interface Denial {
  policies: readonly NetworkPolicy[];
  /** Whether they admit others, by an ipBlock: then the denial may be intended, and clients may be among the others. */
  admitsOthers: boolean;
}

/** The policies that deny the probes, where only the pod's own node, which policies admit, got an answer. */
export function shutOutBy(path: PathView, scene: Scene): Denial | undefined {
  const away = probesFrom(path, AWAY);
  const isShutOut = answered(path, 'direct') && away.length > 0 && away.every(failed);
  return isShutOut ? denialOf(path, scene) : undefined;
}

/**
 * The policies that isolate the pod, when none of them allows a neighbour of its node. Undefined when it is allowed, or nothing isolates the
 * pod. A policy that cannot be read isolates no pod here.
 */
export function denialOf(path: PathView, scene: Scene): Denial | undefined {
  const neighbour = neighbourOf(path, scene);
  const source = neighbour === undefined ? undefined : parseIp(neighbour);
  if (source === undefined) return undefined;
  const { world } = scene;
  const isolating = world.policies.flatMap((policy) => {
    const spec = specOf(policy);
    const applies =
      policy.metadata?.namespace === path.pod.metadata?.namespace &&
      spec !== undefined &&
      (spec.policyTypes ?? ['Ingress']).includes('Ingress') &&
      labelSelectorMatches(spec.podSelector ?? {}, path.pod.metadata?.labels);
    return applies ? [{ policy, spec }] : [];
  });
  const rules = isolating.flatMap(({ spec }) => spec.ingress ?? []).filter((rule) => allowsPort(rule, path));
  if (isolating.length === 0 || rules.some((rule) => allowsSource(rule, source))) return undefined;
  return {
    policies: isolating.map(({ policy }) => policy),
    admitsOthers: rules.some(({ from }) => from?.some(({ ipBlock }) => ipBlock !== undefined)),
  };
}

/** By policy, which is asked for again for every mapping that fails. */
const specs = new WeakMap<NetworkPolicy, { spec: Spec | undefined }>();

/** Undefined for a policy that cannot be read. */
function specOf(policy: NetworkPolicy): Spec | undefined {
  let read = specs.get(policy);
  if (read === undefined) {
    read = { spec: specSchema.safeParse(policy.spec).data };
    specs.set(policy, read);
  }
  return read.spec;
}

/** Selectors of pods and namespaces are of the cluster's own; a machine outside is only ever an ipBlock. */
function allowsSource({ from }: Ingress, source: IpAddress): boolean {
  if (from === undefined || from.length === 0) return true;
  return from.some(
    ({ ipBlock }) =>
      ipBlock !== undefined &&
      isIn(ipBlock.cidr, source) &&
      !ipBlock.except?.some((cidr) => isIn(cidr, source)),
  );
}

function allowsPort({ ports }: Ingress, { port, pod }: PathView): boolean {
  if (ports === undefined || ports.length === 0) return true;
  return ports.some((entry) => {
    if ((entry.protocol ?? 'TCP') !== port.protocol) return false;
    if (entry.port === undefined) return true;
    if (typeof entry.port === 'number') {
      return port.containerPort >= entry.port && port.containerPort <= (entry.endPort ?? entry.port);
    }
    return lastingContainers(pod).some(({ ports: named = [] }) =>
      named.some(
        ({ name, containerPort, protocol = 'TCP' }) =>
          name === entry.port && containerPort === port.containerPort && protocol === port.protocol,
      ),
    );
  });
}

/** Whether an address is in a network; not, where that cannot be read. */
function isIn(cidr: string, address: IpAddress): boolean {
  const network = parseCidr(cidr);
  return network !== undefined && contains(network, address);
}
