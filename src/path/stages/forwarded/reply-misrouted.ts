import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { type Message, words } from '../../model/message.ts';
import type { PolicyRule } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { describeRule, type RoutedPacket } from '../../view/policy-rules.ts';
import { AWAY, answered, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { decideRoute, describeRoute, findRoute, type RouteEntry } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { type Answer, answerTo } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Misrouted {
  answer: Answer;
  route: RouteEntry | undefined;
  rule: PolicyRule | undefined;
}

export const replyMisrouted = defineFailure<null>({
  code: 'reply-misrouted',
  stage: 'forwarded',
  severity: 'broken',
  title: "the pod's answers leave by another way than connections come in, or by none",
  explanation:
    "The answer of a pod is routed by the pod's own address, before the node puts its own in its place. A policy rule for the addresses of pods, a " +
    'table of a second interface or of a VRF can send it out by another device, where its source is not expected and it is dropped, or to no device ' +
    'at all. Connections from other machines time out; those of the node itself are answered on the node.',
  remedy:
    'Let answers of hostPorts leave by the device by which the connection came in: an exception to the policy rule (by a connection mark, as AWS VPC CNI ' +
    'does), or a route in its table.',
  restart: 'no',
  sources: [
    'aws/amazon-vpc-cni-k8s#75',
    'antrea-io/antrea#678',
    'https://man7.org/linux/man-pages/man8/ip-rule.8.html',
  ],
  mutedBy: ['ip-forward-off', 'pod-route-missing', 'packet-dropped'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node } = path;
      const wrong = node === undefined ? undefined : misroutedOf(path, node, scene);
      if (wrong === undefined) return [];
      const { answer, route, rule } = wrong;
      const away = probesFrom(path, AWAY);
      // Another machine may take it by another way, too: nobody has tried.
      const mayArrive = isOut(route) && away.length === 0;
      return [
        {
          subject: path.subject,
          message: messageOf(wrong, path, node!),
          evidence: [
            {
              kind: 'route',
              where: `route of ${node!.name} from ${answer.routed!.source} to ${answer.client}, coming from ${answer.device}`,
              saw: describeRoute(route),
            },
            ...ruleEvidence(rule, node!),
            ...probeEvidence(probesFrom(path, ['direct', 'node', ...AWAY])),
          ],
          ...(mayArrive ? { severity: 'risk' as const } : {}),
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'policy rules and tables were added on purpose: whoever did has to add the exception',
  }),

  page: {
    see: "Connections from other machines time out; those from the node itself work. The mapping's counters grow, and the pod answers.",
    why:
      'A second interface often brings a rule such as `from 192.168.1.0/24 lookup 2` with a default route of its own. It is meant for what pods send, ' +
      'and catches what they answer. A table without a route for the client sends the answer nowhere. `rp_filter` may drop the connection for the ' +
      'same reason before it gets that far: [rp-filter-strict](rp-filter-strict.md).',
    check: {
      run: ['ip rule', 'ip route show table all', 'ip -brief address'],
      look:
        "A rule that the pod's address fits comes before `lookup main`, and its table leads to another device than the one that the client is behind: " +
        '`ip route get CLIENT from POD iif DEVICE`, with the device of the pod on the node, shows the same.',
    },
    fix:
      'Mark connections that come in by the first device, restore the mark on their answers, and look marked packets up in the main table first: ' +
      '`ip rule add fwmark 0x80/0x80 lookup main pref 1024`. Or add the route back to the clients to the table.',
  },
});

function misroutedOf(path: PathView, node: NodeView, scene: Scene): Misrouted | undefined {
  // Of the node itself they are delivered here, whatever tables say of others.
  const answer = known(answerTo('outside', path, scene));
  const packet = answer?.routed;
  if (answer === undefined || packet === undefined || AWAY.some((vantage) => answered(path, vantage)))
    return undefined;
  const found = findRoute(node, packet);
  if ('doubt' in found || isDelivered(node, packet)) return undefined;
  const { route, rule } = found;
  // By several next hops, one of them may be right; and a VRF sends by the devices that are part of it.
  if (route?.type === 'unicast' && (route.device === undefined || isSameDevice(route.device, answer, node)))
    return undefined;
  return { answer, route, rule };
}

function isSameDevice(device: string, { cameBy }: Answer, node: NodeView): boolean {
  if (device === cameBy) return true;
  return known(node.seen?.network.links)?.find(({ name }) => name === cameBy)?.master === device;
}

function isDelivered(node: NodeView, packet: RoutedPacket): boolean {
  return decideRoute(node, packet).kind === 'local';
}

/** Whether a route leads out of the node. */
function isOut(route: RouteEntry | undefined): boolean {
  return route?.type === 'unicast';
}

function messageOf({ answer, route, rule }: Misrouted, path: PathView, node: NodeView): Message {
  const names = {
    pod: podName(path.subject.pod!),
    port: formatPort(path.port),
    node: node.name,
    client: answer.client,
    table: route?.table ?? rule?.table ?? 'main',
  };
  if (!isOut(route)) {
    return words(
      '{node} has no way out for answers of {pod} to {client}, which connects to {port} (table {table})',
      names,
    );
  }
  return words(
    '{node} sends answers of {pod} to {client} by {device} (table {table}), while connections to {port} come in by {entry}',
    { ...names, device: route!.device!, entry: answer.cameBy ?? 'another device' },
  );
}

function ruleEvidence(rule: PolicyRule | undefined, node: NodeView): Evidence[] {
  return rule === undefined
    ? []
    : [{ kind: 'route', where: `policy rule of ${node.name}`, saw: describeRule(rule) }];
}
