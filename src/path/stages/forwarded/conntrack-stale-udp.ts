import { formatEndpoint } from '../../../util/endpoint.ts';
import { familyOf } from '../../../util/family.ts';
import { canonicalAddress } from '../../../util/ip.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Flow } from '../../model/node-report.ts';
import { flowsTo } from '../../view/by-port.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { leadsToPod, originsOf, podAddress, traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  flows: Flow[];
}

export const conntrackStaleUdp = defineFailure<Data>({
  code: 'conntrack-stale-udp',
  stage: 'forwarded',
  severity: 'broken',
  title: "tracked UDP flows still go to the port's previous address",
  explanation:
    'The kernel decides on a translation with the first packet of a flow and remembers it while packets keep coming. UDP has no end of ' +
    'connection, so a client that keeps sending keeps its flow, and with it the address of the previous pod (or no translation): the rules are ' +
    'right and other clients are served, but this client gets no answer.',
  remedy: 'Delete the entries from connection tracking; the next packet is translated by the current rules.',
  restart: 'no',
  sources: ['containernetworking/plugins#123', 'containernetworking/plugins#1190'],
  mutedBy: ['earlier'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { port, subject } = path;
      const flows = staleFlows(path, scene);
      if (flows.length === 0) return [];
      const node = path.node!;
      const targets = [...new Set(flows.map(({ replySource }) => replySource))];
      return [
        {
          subject,
          message: words(
            '{flows} tracked {flows:flow|flows} to {port} of {node} {flows:goes|go} to {targets}, and not to {pod} at {address}',
            {
              flows: flows.length,
              port: formatPort(port),
              node: node.name,
              targets,
              pod: podName(subject.pod!),
              address: podAddress(path)!,
            },
          ),
          evidence: flows.slice(0, 20).map((flow) => ({
            kind: 'flow',
            where: `connection tracking of ${node.name}`,
            saw: inWords(flow),
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
      why: `let packets of ${source} be translated again`,
      action: {
        do: 'delete-flow',
        protocol: 'udp',
        family: familyOf(source),
        source,
        sourcePort,
        destination,
        destinationPort,
      },
    })),
  }),

  page: {
    see:
      'One client that sends all the time (syslog, a resolver, a game) gets no answer since the pod was recreated; other clients ' +
      'are served.',
    why:
      'A UDP entry expires 30 s after its last packet, 120 s once it was answered, and each packet renews it. portmap deletes the ' +
      'entries for its port when it adds a mapping; a flow that starts in between keeps the old translation.',
    check: {
      run: ['conntrack -L -p udp --orig-port-dst 53'],
      look: "There are entries whose reply source (the second `src=`) is not the pod's address.",
    },
    fix: '`conntrack -D -p udp --orig-port-dst PORT` for the port; only stale flows are affected.',
  },
});

/** `udp CLIENT to DESTINATION, answered by POD`, each with its port. */
function inWords(flow: Flow): string {
  const [from, to, by] = [
    { address: flow.source, port: flow.sourcePort },
    { address: flow.destination, port: flow.destinationPort },
    { address: flow.replySource, port: flow.replySourcePort },
  ].map(formatEndpoint);
  return `udp ${from} to ${to}, answered by ${by}${flow.unreplied ? ' (never yet)' : ''}`;
}

/** The flows of clients to the mapping that are not answered by the pod, although the rules lead to it. */
function staleFlows(path: PathView, scene: Scene): Flow[] {
  const { port } = path;
  if (port.protocol !== 'UDP') return [];
  const trace = traceFrom(originsOf(path)[0], path, scene);
  if ('unknown' in trace || !leadsToPod(trace.value, path)) return [];
  const [node, address] = [path.node!, podAddress(path)!];
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
