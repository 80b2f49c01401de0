import type { Trace } from '../../../netfilter/index.ts';
import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { type Message, words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { isOfService, type ServiceEntry, serviceName, servicesAt } from '../../view/services.ts';
import { leadsToPod, podAddress, takerOf, takersOf, traceFrom, translatesTo } from '../../view/traces.ts';
import { ruleAtEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** Who gets the packets to a Service's address and port on a node. */
type Outcome =
  /** The mapping, though the node serves the Service there: its pods get none. */
  | { winner: 'mapping'; evidence: Evidence[] }
  /** The Service: the mapping gets none. */
  | { winner: 'service'; evidence: Evidence[] }
  /** Nobody serves the Service there yet. */
  | { winner: undefined };

export const serviceShadowed = defineFailure<null>({
  code: 'service-shadowed',
  stage: 'translated',
  severity: 'risk',
  title: 'a Service has the same port at an address of the node',
  explanation:
    'A hostPort without hostIP takes its port at every address that is local to the node. A Service may have such an address, too: an external IP ' +
    "or a load balancer's that is the node's own, or a cluster IP that kube-proxy's IPVS mode, or a cache of DNS, puts on a device of each node. The " +
    'first of the two rules gets the packets, and the other gets none: either the port leads to the Service, or every client on the node that asks ' +
    'the Service gets the pod.',
  remedy:
    "Set `hostIP` to the node's address where the Service has another one; otherwise give one of the two another port.",
  restart: 'needed',
  restartReason: 'the ports of an existing pod cannot be changed',
  sources: [
    'siderolabs/talos#9223',
    'kubernetes/kubernetes#61938',
    'containernetworking/plugins#222',
    'https://kubernetes.io/docs/concepts/services-networking/service/#external-ips',
  ],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node } = path;
      if (node === undefined) return [];
      const found = servicesAt(path, scene)
        .flatMap((entry) => {
          const outcome = outcomeOf(entry, path, scene);
          return outcome === undefined ? [] : [{ entry, outcome }];
        })
        // Before its rules are there, a node port is nodeport-collision.
        .filter(({ entry, outcome }) => entry.kind !== 'node port' || outcome.winner === 'service');
      const first = found.find(({ outcome }) => outcome.winner !== undefined) ?? found[0];
      if (first === undefined) return [];
      const { entry, outcome } = first;
      return [
        {
          subject: path.subject,
          message: messageOf(entry, outcome, path, node),
          evidence: [
            ...new Map(found.map((other) => [other.entry.service, serviceEvidence(other.entry)])).values(),
            ...addressEvidence(entry, node),
            ...('evidence' in outcome ? outcome.evidence : []),
          ],
          ...(outcome.winner === undefined ? {} : { severity: 'broken' as const }),
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'their owners must decide which of the two keeps the port' }),

  page: {
    see:
      'The pods of a Service answer on the port, or the pod with the hostPort answers clients of a Service, but only on its own node: DNS or an ' +
      'ingress fails on some nodes and works on others.',
    why: [
      'portmap takes packets to any local address (`-m addrtype --dst-type LOCAL`). In IPVS mode kube-proxy puts every cluster IP on the device ' +
        '`kube-ipvs0`, and NodeLocal DNSCache the one of the DNS on `nodelocaldns`. A hostPort 53 or 443 then takes what pods of that node send to ' +
        "the DNS or to the API, unless kube-proxy's rules for that cluster IP come first, or the cache keeps what is sent to it from being tracked.",
      "For an external IP that is a node's own, kube-proxy has a translation of its own (`KUBE-EXT-…`), and which of the two comes first can change " +
        'with a restart. As long as no such rule is there, the finding is a risk.',
    ],
    check: {
      run: [
        'kubectl get services -A -o custom-columns=NAME:.metadata.name,CLUSTER:.spec.clusterIP,EXTERNAL:.spec.externalIPs,PORTS:.spec.ports[*].port',
        'ip -brief address',
        'iptables -w -t nat -S PREROUTING',
      ],
      look: 'A Service has the port of the mapping, and one of its addresses is on a device of the node.',
    },
    fix: "Give the mapping a `hostIP` (the node's address), so that it leaves other local addresses alone; or another port to one of the two.",
  },
});

/** What becomes of packets to a Service; undefined where mapping and Service do not meet. */
function outcomeOf(entry: ServiceEntry, path: PathView, scene: Scene): Outcome | undefined {
  const { service, address, kind } = entry;
  // The same packets, to the Service's address.
  const there: PathView =
    address === undefined ? path : { ...path, address, port: withoutHostIP(path), memory: new Map() };
  const rule = takersOf(there, scene)?.find((candidate) => isOfService(candidate, service))?.rule;
  const toMapping: Outcome = {
    winner: 'mapping',
    evidence: rule === undefined ? [] : [ruleAtEvidence(rule, 'is not reached')],
  };
  if (kind === 'cluster IP') {
    // Nobody asks there for the hostPort: only the Service can lose. It is asked by the node's own pods and processes.
    const traces = (['pod', 'node'] as const).map((origin) => known(traceFrom(origin, there, scene)));
    if (traces.some((trace) => trace !== undefined && leadsToPod(trace, there))) return toMapping;
    return traces.some((trace) => mayLeadToPod(trace, there)) ? { winner: undefined } : undefined;
  }
  const taker = takerOf(there, scene);
  if (taker !== undefined && isOfService(taker, service)) {
    return { winner: 'service', evidence: [ruleAtEvidence(taker.rule)] };
  }
  if (rule === undefined) return { winner: undefined };
  const trace = known(traceFrom('outside', there, scene));
  return trace !== undefined && leadsToPod(trace, there) ? toMapping : { winner: undefined };
}

/** Whether packets may get to the pod, by what is known of their way. */
function mayLeadToPod(trace: Trace | undefined, path: PathView): boolean {
  const pod = podAddress(path);
  if (trace === undefined) return true;
  return trace.outcomes.some(({ translation, notrack }) =>
    translation === undefined
      ? !trace.translation.known && notrack === undefined
      : pod !== undefined && translatesTo(translation.to, pod),
  );
}

function withoutHostIP({ port: { hostIP: _, ...port } }: PathView): PathView['port'] {
  return port;
}

function messageOf(entry: ServiceEntry, { winner }: Outcome, path: PathView, node: NodeView): Message {
  const names = {
    service: serviceName(entry.service),
    port: formatPort(path.port),
    pod: podName(path.subject.pod!),
    node: node.name,
  };
  if (entry.address === undefined) {
    return words(
      'Service {service} takes {port} of {node}, its node port, before the mapping of {pod}',
      names,
    );
  }
  const at = { ...names, address: entry.address };
  switch (winner) {
    case 'service':
      return words('Service {service} takes {port} of {node} at {address} before the mapping of {pod}', at);
    case 'mapping':
      return words(
        '{port} of {pod} takes what is sent to Service {service} at {address} on {node}, where that address is local',
        at,
      );
    default:
      return words(
        '{port} of {pod} is also a port of Service {service} at {address}, which is an address of {node}',
        at,
      );
  }
}

function serviceEvidence({ service, kind, address }: ServiceEntry): Evidence {
  const ports = (service.spec?.ports ?? []).map(({ protocol = 'TCP', port, nodePort }) =>
    nodePort === undefined ? `${protocol} ${port}` : `${protocol} ${port} (node port ${nodePort})`,
  );
  return {
    kind: 'object',
    where: `service ${serviceName(service)}`,
    saw: `${kind}${address === undefined ? '' : ` ${address}`}, ports ${ports.join(', ')}`,
  };
}

/** The device that has a Service's address. */
function addressEvidence({ address }: ServiceEntry, node: NodeView): Evidence[] {
  const found = known(node.seen?.network.addresses)?.find((entry) => entry.address === address);
  return found === undefined
    ? []
    : [
        {
          kind: 'object',
          where: `device ${found.device} of ${node.name}`,
          saw: `${found.address}/${found.prefix}`,
        },
      ];
}
