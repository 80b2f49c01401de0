import { InvalidArgumentError, Option } from 'commander';
import { pods as podResource } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import type { ClusterRecord } from '../../lab/cluster/record.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { labClient } from '../../lab/doctor/source.ts';
import type { Stand } from '../../node/probe/plan.ts';
import { traceFlow } from '../../node/trace/trace-flow.ts';
import { hasEnded, hostPortsOf } from '../../path/model/host-ports.ts';
import { known } from '../../path/model/observed.ts';
import type { TraceDocument } from '../../path/trace/document.ts';
import { calledAs } from '../../sys/called-as.ts';
import { isLoopbackText } from '../../util/address.ts';
import { parseEndpoint } from '../../util/endpoint.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { parseIp } from '../../util/ip.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { renderTrace } from '../printer/trace.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';

/** How long an answer may take, in milliseconds: one packet is enough, so that nothing is sent again meanwhile. */
const PROBE_MS = 1000;
const ELSEWHERE =
  'a trace is run on the nodes of a lab; for any other cluster, "hostport doctor" shows where hostPorts are broken';
const STATUS = { answered: 0, died: 1, inconclusive: 2 } as const;

interface TraceOptions {
  from: string;
  to?: string;
  protocol: 'tcp' | 'udp' | 'sctp';
  output?: 'json';
}

/** `hostport trace`: one probe's way through a node, by the kernel's own word. */
export function traceVerb() {
  const verb = command('trace')
    .description(
      'show where the kernel takes a packet to a hostPort\n\nSends one probe and shows each hook, rule, verdict and rewrite that it meets on the node, and the same of the answer.\nIf it dies, shows where and why.\nExit status: 0 answered, 1 died at a known place, 2 inconclusive.',
    )
    .failsWith(2)
    .argument('<node:port>', 'name of the node and the hostPort')
    .option('--from <place>', 'outside, a node, or a pod ([namespace/]name) to send from', 'outside')
    .addOption(
      new Option(
        '--to <address>',
        "address to send to: the node's, or 127.0.0.1 from the node itself (default: the node's InternalIP)",
      ).argParser(ipAddress),
    )
    .option('--protocol <protocol>', 'tcp, udp or sctp', oneOf('tcp', 'udp', 'sctp'), 'tcp')
    .option('-o, --output <format>', 'json instead of text', oneOf('json'))
    .action(async (place: string, options: TraceOptions) => {
      const { node, port } = nodeAndPort(place);
      const { record, title } = await labTargetOf(verb, ELSEWHERE);
      const document = await interruptible((signal) => trace(record, node, port, options, signal));
      const layout = layoutOf(process.stdout);
      process.stdout.write(
        options.output === 'json'
          ? renderJson(document, 2)
          : `${paragraph(title, layout)}\n${renderTrace(document, calledAs(), layout)}`,
      );
      exitWith(STATUS[document.outcome]);
    });
  addTargetOptions(verb, 'contexts');
  return examples(
    verb,
    'hostport trace kind-worker:80',
    'hostport trace kind-worker:80 --from kind-worker2',
    'hostport trace kind-worker:80 --from kind-worker --to 127.0.0.1',
    'hostport trace kind-worker:53 --protocol udp -o json',
  );
}

async function trace(
  record: ClusterRecord,
  node: string,
  port: number,
  { from, to, protocol: name }: TraceOptions,
  signal: AbortSignal,
): Promise<TraceDocument> {
  const address = to ?? record.nodes.find((each) => each.name === node)?.address;
  if (address === undefined || !record.nodes.some((each) => each.name === node)) {
    const names = record.nodes.map((each) => each.name).join(', ');
    throw new InputError(
      `cannot trace: node "${node}" not found in cluster "${record.name}"; the nodes are ${names}`,
    );
  }
  if (isLoopbackText(address) && from !== node) {
    throw new InputError(
      `cannot send to ${address} from ${from}: it is an address of each machine itself; add --from ${node}`,
    );
  }
  const protocol = name.toUpperCase() as TraceDocument['protocol'];
  await using places = new LabPlaces(record);
  const client = await labClient(record);
  const { items } = await client.list(podResource, {}, signal);
  const stand = await standOf(from, record, items, places, signal);
  const owner = ownerOf(items, { node, port, protocol });
  const order = {
    ...{ node, address, port, protocol, from: stand },
    ...(owner !== undefined && { containerPort: owner.containerPort }),
  };
  const { flow, probe, story } = await traceFlow(places.traceDoor(PROBE_MS), order, signal);
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
    ...story,
  };
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
  if (pod === undefined || node === undefined) {
    throw new InputError(
      `cannot send: node or pod "${from}" not found in cluster "${record.name}"; give outside, a node, or [namespace/]name of a pod`,
    );
  }
  const report = await places.report(node, signal);
  if ('unknown' in report) throw new UserError(`cannot find the network of ${wanted}: ${report.unknown}`);
  const uid = pod.metadata?.uid;
  const sandboxes = known(report.value.sandboxes) ?? [];
  const sandbox = sandboxes.find((each) => each.uid === uid && each.netns !== undefined && each.netnsExists);
  if (sandbox?.netns === undefined)
    throw new UserError(`cannot send from ${wanted}: it has no network of its own on ${node}; does it run?`);
  return { at: 'pod', node, netns: sandbox.netns };
}

function podNameOf(from: string): string {
  return from.includes('/') ? from : `default/${from}`;
}

function nodeAndPort(text: string): { node: string; port: number } {
  const found = parseEndpoint(text);
  if (found !== undefined && found.port > 0) return { node: found.address, port: found.port };
  throw new InputError(
    `cannot trace ${JSON.stringify(text)}: not a node and a port; give NODE:PORT, as kind-worker:80`,
  );
}

function ipAddress(text: string): string {
  if (parseIp(text) !== undefined) return text;
  throw new InvalidArgumentError('want an IP address.');
}
