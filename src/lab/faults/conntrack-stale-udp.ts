import type { HostPort } from '../../path/model/finding.ts';
import type { Fault, FaultDoor, FaultTarget } from '../inject/fault.ts';
import { podDevice } from '../inject/pod-link.ts';
import { iptablesIn, restoreTable, saveTable } from '../inject/table.ts';

const UDP_POD = 'answers-datagrams';

/** An address for documentation (RFC 5737) in the place of the pod that was there before. */
const FORMER = '192.0.2.9';

/** How long the flow is kept, in seconds: as long as a client that keeps sending would keep it. */
const KEPT = '600';

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

export const fault: Fault = {
  does: 'creates a pod with a UDP port, and a client that keeps sending on a flow that was translated to another address before',
  remember: (door, { node }) => saveTable(door, node, 'nat'),
  async inject(door, target) {
    const { node, pod, nodeAddress } = target;
    const port = portFor(target);
    await door.apply([udpPod(target, port)]);
    await door.untilRunning({ pod: { ...pod, name: UDP_POD } });
    // As it was before the pod: the port led to another address, through the device of another pod.
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
  subjects: (target) => [{ node: target.node, pod: { ...target.pod, name: UDP_POD }, port: portFor(target) }],
};
