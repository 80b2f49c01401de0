import { canonicalAddress } from '../../net/ip.ts';
import { flowsTo } from '../by-port.ts';
import { type Detection, defineFailure } from '../failure.ts';
import type { FaultDoor, FaultTarget } from '../fault.ts';
import type { HostPort } from '../finding.ts';
import { formatPort } from '../host-ports.ts';
import type { Flow } from '../node-report.ts';
import type { NodeView } from '../node-view.ts';
import { podDevice } from '../pod-link.ts';
import { podName } from '../pod-of.ts';
import type { PathView, Scene } from '../scene.ts';
import { iptablesIn, restoreTable, saveTable } from '../table-faults.ts';
import { leadsToPod, originsOf, podAddress, traceFrom } from '../traces.ts';

interface Data {
  node: NodeView;
  flows: Flow[];
}

const UDP_POD = 'answers-datagrams';
/** An address for documentation (RFC 5737) in the place of the pod that was there before. */
const FORMER = '192.0.2.9';
/** How long the flow is kept, in seconds: as long as a client that goes on sending would. */
const KEPT = '600';

export const conntrackStaleUdp = defineFailure<Data>({
  code: 'conntrack-stale-udp',
  stage: 'forwarded',
  severity: 'broken',
  title: "tracked UDP flows still go to an address that was the port's before",
  explanation:
    'Translations are decided with the first packet of a flow and remembered while packets keep coming. UDP has no end, so a client that goes on sending keeps its flow, and with it the ' +
    'address of the pod that was there before (or none): the rules are right, others are served, and this client talks to nobody.',
  remedy: 'Delete the entries from connection tracking; the next packet is translated anew.',
  restart: 'no',
  sources: ['containernetworking/plugins#123', 'containernetworking/plugins#1190'],
  mutedBy: ['earlier'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, port, subject } = path;
      const flows = staleFlows(path, scene);
      if (node === undefined || flows.length === 0) return [];
      const targets = [...new Set(flows.map(({ replySource }) => replySource))];
      return [
        {
          subject,
          message: `${flows.length} tracked ${flows.length === 1 ? 'flow' : 'flows'} to ${formatPort(port)} of ${node.name} ${flows.length === 1 ? 'goes' : 'go'} to ${targets.join(', ')}, and not to ${podName(subject.pod!)} at ${podAddress(path)}`,
          evidence: flows.slice(0, 20).map((flow) => ({
            kind: 'flow',
            where: `connection tracking of ${node.name}`,
            saw: `udp ${flow.source}:${flow.sourcePort} to ${flow.destination}:${flow.destinationPort}, answered by ${flow.replySource}:${flow.replySourcePort}${flow.unreplied ? ' (never yet)' : ''}`,
          })),
          data: { node, flows },
        },
      ];
    });
  },

  heal: ({ data: { node, flows } }) => ({
    by: 'steps',
    steps: flows.map(({ source, sourcePort, destination, destinationPort }) => ({
      on: 'node',
      node: node.name,
      why: `have packets of ${source} translated anew`,
      action: {
        do: 'delete-flow',
        protocol: 'udp',
        family: source.includes(':') ? 'ipv6' : 'ipv4',
        source,
        sourcePort,
        destination,
        destinationPort,
      },
    })),
  }),

  fault: {
    does: 'makes a pod with a UDP port and a client whose flow was translated to another address before, and goes on',
    remember: (door, { node }) => saveTable(door, node, 'nat'),
    async inject(door, target) {
      const { node, pod, nodeAddress } = target;
      const port = portFor(target);
      await door.apply([udpPod(target, port)]);
      await door.untilRunning({ pod: { ...pod, name: UDP_POD } });
      // As it was before the pod: the port led to another address, by a device that somebody was behind.
      const match = ['-p', 'udp', '-d', nodeAddress, '--dport', String(port.hostPort)];
      const former = [...match, '-j', 'DNAT', '--to-destination', FORMER];
      const route = [`${FORMER}/32`, 'dev', await podDevice(door, target)];
      await door.run(node, ['ip', 'route', 'replace', ...route]);
      await iptablesIn(door, node, 'nat', '-I', 'OUTPUT', '1', ...former);
      try {
        await sendDatagram(door, target, port);
      } finally {
        await iptablesIn(door, node, 'nat', '-D', 'OUTPUT', ...former);
        await door.run(node, ['ip', 'route', 'del', ...route]);
      }
      await door.run(node, [
        ...['conntrack', '-U', '-f', 'ipv4', '-p', 'udp', '--orig-dst', nodeAddress],
        ...['--orig-port-dst', String(port.hostPort), '--reply-src', FORMER, '--timeout', KEPT],
      ]);
    },
    async restore(door, target, memo) {
      await door.remove('Pod', target.pod.namespace, UDP_POD);
      await door.untilNoSandbox({ ...target, pod: { ...target.pod, name: UDP_POD } });
      await restoreTable(door, target.node, 'nat', memo as string);
      await forget(door, target);
    },
    subjects: (target) => [
      { node: target.node, pod: { ...target.pod, name: UDP_POD }, port: portFor(target) },
    ],
  },
});

/** The flows of clients to the mapping that are answered by anybody but the pod, while the rules lead to it. */
function staleFlows(path: PathView, scene: Scene): Flow[] {
  const { node, port } = path;
  const address = podAddress(path);
  if (node === undefined || address === undefined || port.protocol !== 'UDP') return [];
  const trace = traceFrom(originsOf(path)[0], path, scene);
  if ('unknown' in trace || !leadsToPod(trace.value, path)) return [];
  // A pod of two families answers each client by the client's own.
  const own = new Set([address, ...(path.sandbox?.ips ?? [])].map(canonicalAddress));
  const isMine = (destination: string) =>
    port.hostIP === undefined
      ? node.isLocal(destination) === true
      : canonicalAddress(destination) === canonicalAddress(port.hostIP);
  return flowsTo(node, 'udp', port.hostPort).filter(
    (flow) =>
      isMine(flow.destination) &&
      (!own.has(canonicalAddress(flow.replySource)) || flow.replySourcePort !== port.containerPort),
  );
}

function portFor({ port: { hostPort } }: FaultTarget): HostPort {
  return { hostPort: hostPort === 18067 ? 18068 : 18067, containerPort: 67, protocol: 'UDP' };
}

/** A pod that waits for datagrams: a DHCP server, which is what busybox has of that kind. */
function udpPod({ node, pod }: FaultTarget, { hostPort, containerPort, protocol }: HostPort) {
  const config = 'interface eth0\\nstart 192.0.2.10\\nend 192.0.2.11\\nlease_file /tmp/leases\\n';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: UDP_POD, namespace: pod.namespace },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'dhcp',
          image: 'busybox',
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', `printf '${config}' >/tmp/conf; touch /tmp/leases; exec udhcpd -f /tmp/conf`],
          ports: [{ hostPort, containerPort, protocol }],
        },
      ],
    },
  };
}

/** Deletes the flow of the fault where healing has not. */
async function forget(door: FaultDoor, { node }: FaultTarget): Promise<void> {
  const flows = ['-f', 'ipv4', '-p', 'udp', '--reply-src', FORMER];
  // Deleting what is not there is an error to conntrack.
  const listed = await door.run(node, ['conntrack', '-L', ...flows]);
  if (listed.trim() !== '') await door.run(node, ['conntrack', '-D', ...flows]);
}

/** Sends one datagram from the node to its own address. */
async function sendDatagram(door: FaultDoor, { node, nodeAddress, pod }: FaultTarget, port: HostPort) {
  const target = { address: nodeAddress, port: port.hostPort };
  const order = {
    vantage: 'node',
    node,
    podUid: pod.uid,
    protocol: port.protocol,
    hostPort: port.hostPort,
    target,
  };
  const job = { place: { only: 'own-addresses' }, timeoutMs: 50, orders: [order] };
  await door.run(node, ['hostport', 'node-probe'], { stdin: JSON.stringify(job) });
}
