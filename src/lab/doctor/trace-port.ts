import type { ApiClient } from '../../kube/client.ts';
import { pods as podResource } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import type { Stand } from '../../node/probe/plan.ts';
import { traceFlow } from '../../node/trace/trace-flow.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import type { Finding } from '../../path/model/finding.ts';
import { hasEnded, hostPortsOf } from '../../path/model/host-ports.ts';
import { known } from '../../path/model/observed.ts';
import type { TraceDocument } from '../../path/trace/document.ts';
import { type TracedMapping, wantsCause, withCause } from '../../path/trace/explained.ts';
import { isLoopbackText } from '../../util/address.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { unknownName } from '../../util/unknown-name.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import type { LabPlaces } from './places.ts';
import { collectLabWorld } from './source.ts';

/** How long an answer may take, in milliseconds: one packet is enough, so that nothing is sent again meanwhile. */
const PROBE_MS = 1000;

/** What is to be traced, in the words of a person. */
export interface TraceWish {
  /** Name or address of a node. */
  place: string;
  port: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** `outside`, a node, or `[namespace/]name` of a pod. */
  from: string;
  /** Address to send to. Default: the node's. */
  to?: string | undefined;
}

/**
 * Sends one probe to a hostPort of a lab while the kernel of its node traces it.
 * @throws InputError for a node, a pod or an address that cannot be meant.
 */
export async function tracePort(
  places: LabPlaces,
  client: ApiClient,
  { place, port, from, to, protocol: name }: TraceWish,
  signal: AbortSignal,
): Promise<TraceDocument> {
  const { record } = places;
  const found = record.nodes.find((each) => each.name === place || each.address === place);
  if (found === undefined) throw notInLab('node', place, record);
  const node = found.name;
  const address = to ?? found.address;
  if (isLoopbackText(address) && from !== node) {
    throw new InputError(
      `cannot send to ${address} from ${from}: it is an address of each machine itself; add --from ${node}`,
    );
  }
  const protocol = name.toUpperCase() as TraceDocument['protocol'];
  const { items } = await client.list(podResource, {}, signal);
  const stand = await standOf(from, record, items, places, signal);
  const owner = ownerOf(items, { node, port, protocol });
  const order = {
    ...{ node, address, port, protocol, from: stand },
    ...(owner !== undefined && { containerPort: owner.containerPort }),
  };
  const { flow, probe, story } = await traceFlow(places.traceDoor(PROBE_MS), order, signal);
  const mapping: TracedMapping = { node, port: { hostPort: port, protocol }, pod: owner?.pod };
  const findings = wantsCause(story) && owner !== undefined ? await findingsOn(node, places, signal) : [];
  return {
    apiVersion: 'hostport/v1',
    kind: 'Trace',
    node,
    address,
    port,
    protocol,
    from: stand.at === 'pod' ? podNameOf(from) : from,
    sourcePort: flow.sourcePort,
    ...(owner !== undefined && { pod: owner.pod }),
    probe,
    ...withCause(story, mapping, findings),
  };
}

/** What the doctor finds of a node. It asks the hostPorts: without that, what is wrong there would be a risk alone. */
async function findingsOn(node: string, places: LabPlaces, signal: AbortSignal): Promise<readonly Finding[]> {
  const world = await collectLabWorld(places, { probes: true, choose: () => new Set([node]), signal });
  return diagnose(world).diagnosis.findings;
}

/** The pod of a node that asks for this hostPort, and the port that it is for. */
function ownerOf(
  pods: readonly Pod[],
  { node, port, protocol }: Pick<TraceDocument, 'node' | 'port' | 'protocol'>,
): { pod: string; containerPort: number } | undefined {
  const found = pods
    .filter((pod) => pod.spec?.nodeName === node && !hasEnded(pod))
    .flatMap((pod) => hostPortsOf(pod).map((mapping) => ({ pod, mapping })))
    .find(({ mapping }) => mapping.hostPort === port && mapping.protocol === protocol);
  if (found === undefined) return undefined;
  const { namespace = 'default', name = '' } = found.pod.metadata ?? {};
  return { pod: `${namespace}/${name}`, containerPort: found.mapping.containerPort };
}

async function standOf(
  from: string,
  record: ClusterRecord,
  pods: readonly Pod[],
  places: LabPlaces,
  signal: AbortSignal,
): Promise<Stand> {
  if (from === 'outside') return { at: 'outside' };
  if (record.nodes.some(({ name }) => name === from)) return { at: 'node', node: from };
  const wanted = podNameOf(from);
  const pod = pods.find(
    ({ metadata }) => `${metadata?.namespace ?? 'default'}/${metadata?.name ?? ''}` === wanted,
  );
  const node = pod?.spec?.nodeName;
  if (pod === undefined) throw notInLab('node or pod', from, record);
  if (node === undefined)
    throw new UserError(`cannot send from ${wanted}: it has no node yet; "kubectl describe pod" says why`);
  const report = await places.report(node, signal);
  if ('unknown' in report) throw new UserError(`cannot find the network of ${wanted}: ${report.unknown}`);
  const uid = pod.metadata?.uid;
  const sandboxes = known(report.value.sandboxes) ?? [];
  const sandbox = sandboxes.find((each) => each.uid === uid && each.netns !== undefined && each.netnsExists);
  if (sandbox?.netns === undefined)
    throw new UserError(`cannot send from ${wanted}: it has no network of its own on ${node}; does it run?`);
  return { at: 'pod', node, netns: sandbox.netns };
}

function notInLab(kind: string, name: string, { name: cluster, nodes }: ClusterRecord): InputError {
  const known = nodes.map((node) => node.name);
  return unknownName({ attempt: 'trace', kind, name, where: `in cluster "${cluster}"`, known });
}

function podNameOf(from: string): string {
  return from.includes('/') ? from : `default/${from}`;
}
