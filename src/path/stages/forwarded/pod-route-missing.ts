import { ADDRESS_BITS } from '../../../util/cidr.ts';
import { type FamilyName, familyOf } from '../../../util/family.ts';
import type { Evidence } from '../../model/finding.ts';
import { type Message, words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { linksToPod } from '../../view/pod-devices.ts';
import { podName } from '../../view/pod-name.ts';
import { describeRule, type RoutedPacket } from '../../view/policy-rules.ts';
import { primaryPlugin } from '../../view/primary-plugin.ts';
import { answered, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { describeRoute, findRoute, type RouteEntry, routeTo } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { podAddress, routedToPod } from '../../view/traces.ts';
import { attachmentEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  address: string;
  /** Where the route should lead; undefined when unknown. */
  device: string | undefined;
  /** The policy rule that decides ahead of table main, in words; undefined when none does. */
  ahead: string | undefined;
  /** The plugin whose devices get nothing from the one that the route leads to. */
  plugin?: string;
}

export const podRouteMissing = defineFailure<Data>({
  code: 'pod-route-missing',
  stage: 'forwarded',
  severity: 'broken',
  title: "the node has no route to the pod's address, or a wrong one",
  explanation:
    "The mapping translates to the pod's address, and then the node's routing table decides. The primary plugin adds the route when the sandbox " +
    'is created; a network daemon that deletes routes it does not know, or an overlapping network, can remove it, and packets are lost or go to ' +
    'the wrong place.',
  remedy: 'Restore the route to the pod by the device that its plugin created.',
  restart: 'no',
  sources: [
    'systemd/systemd ManageForeignRoutes= (networkd.conf(5))',
    'https://www.cni.dev/docs/spec/#add-success (interfaces of the result)',
  ],
  mutedBy: [],

  detect(scene) {
    return byAddress(scene.paths).flatMap(({ path, address, family }): Detection<Data>[] => {
      const { subject } = path;
      const node = path.node!;
      if (known(node.seen!.network.routes) === undefined) return [];
      const devices = hostDevices(path, node, address);
      const wrong = misroutedOf(path, node, devices, scene);
      if (wrong === undefined) return pastParent(path, node, address, family);
      const { route } = wrong;
      // Where the route differs between packets, say which ones this is about.
      const source = route === routeTo(node, address) ? undefined : wrong.packet.source;
      const from = source === undefined ? '' : ` from ${source}`;
      const names = { node: node.name, address, pod: podName(subject.pod!) };
      return [
        {
          subject: {
            node: node.name,
            pod: subject.pod!,
            ...(family === undefined ? {} : { family }),
          },
          message: routeMessage(route, devices, names, source),
          evidence: [
            routeEvidence(`route of ${node.name} to ${address}${from}`, route),
            ...(wrong.ahead === undefined
              ? []
              : [{ kind: 'route' as const, where: `policy rule of ${node.name}`, saw: wrong.ahead }]),
            ...devices.map((saw) => ({
              kind: 'route' as const,
              where: `device to ${podName(subject.pod!)}`,
              saw,
            })),
            ...probeEvidence(probesFrom(path, ['direct'])),
          ],
          data: { node, address, device: towardsPod(node, devices), ahead: wrong.ahead },
        },
      ];
    });
  },

  heal({ data: { node, address, device, ahead, plugin } }) {
    if (plugin !== undefined) {
      return {
        by: 'hand',
        why: `${node.name} needs a device of its own by ${plugin} with a route to ${address}, or its pods another primary plugin: both are for whoever planned its network`,
      };
    }
    if (ahead !== undefined) {
      return {
        by: 'hand',
        why: `policy rule "${ahead}" of ${node.name} decides before table main: it was probably added on purpose`,
      };
    }
    if (device === undefined) {
      return {
        by: 'hand',
        why: `it is unknown which device of ${node.name} leads to the pod: only the primary plugin knows`,
      };
    }
    const family = familyOf(address);
    const destination = `${address}/${ADDRESS_BITS[family]}`;
    return {
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: node.name,
          why: `restore the route to ${address}`,
          action: { do: 'replace-route', family, destination, device },
        },
      ],
    };
  },

  page: {
    see: "Connections from everywhere time out, also those from the node and to the pod's own address.",
    why:
      'systemd-networkd removes foreign routes (`ManageForeignRoutes=yes`, its default), and NetworkManager those of devices that ' +
      'it manages; a VPN may announce an overlapping network. With macvlan or ipvlan as the primary plugin there is no way at all: the ' +
      "kernel passes nothing between a device and the pods' devices on it, and the mapping's packets are the node's.",
    check: {
      run: ['ip route get 192.168.1.2', 'ip route show table all'],
      look:
        "The answer names another device than the pod's, a gateway, or `unreachable`. If `ip rule` shows more than the tables " +
        'local, main and default, query the route as for the packet: `ip route get 192.168.1.2 from CLIENT iif eth0`.',
    },
    fix:
      '`ip route replace ADDRESS/32 dev DEVICE scope link`, and configure the daemon to ignore such devices. Where a policy rule ' +
      'decides before table main, that route has no effect: fix the rule (`ip rule`) or the table that it refers to. With macvlan, give ' +
      'the node a device of its own beside those of the pods (`ip link add shim link eth0 type macvlan mode bridge`) and route to them by ' +
      'it; or let portmap follow a primary plugin that routes, as ptp and bridge do.',
  },
});

/**
 * A mapping of each address that mappings lead to, since the route is the same for all ports; with its family where the pod has mappings
 * to more than one address.
 */
function byAddress(
  paths: readonly PathView[],
): { path: PathView; address: string; family: FamilyName | undefined }[] {
  const attached = paths.flatMap((path) => {
    const address = path.sandbox === undefined ? undefined : podAddress(path);
    return address === undefined ? [] : [{ path, address }];
  });
  const byPod = Map.groupBy(attached, ({ path }) => podName(path.subject.pod!));
  return [...byPod.values()].flatMap((own) => {
    const ofAddress = new Map(own.map((entry) => [entry.address, entry]));
    return [...ofAddress.values()].map((entry) => ({
      ...entry,
      family: ofAddress.size > 1 ? entry.path.family : undefined,
    }));
  });
}

/** Plugins whose devices are parts of one of the node's, which passes nothing of its own to them. */
const OF_A_PARENT: ReadonlySet<string> = new Set(['macvlan', 'ipvlan']);

/** A pod whose device is a part of the one that the node's route to it leads to. */
function pastParent(
  path: PathView,
  node: NodeView,
  address: string,
  family: FamilyName | undefined,
): Detection<Data>[] {
  const primary = primaryPlugin(path);
  if (primary === undefined || !OF_A_PARENT.has(primary.type) || primary.linkInContainer) return [];
  const route = routeTo(node, address);
  if (route?.type !== 'unicast' || route.device === undefined || route.gateway !== undefined) return [];
  const { type, master = route.device, mode } = primary;
  // With `vepa`, a switch may send back what comes from the node.
  if (master !== route.device || mode === 'vepa' || answered(path, 'direct')) return [];
  const pod = podName(path.subject.pod!);
  return [
    {
      subject: { node: node.name, pod: path.subject.pod!, ...(family === undefined ? {} : { family }) },
      message: words(
        '{node} sends packets to {address} of {pod} by {device}, which passes none to the {type} devices on it',
        { node: node.name, address, pod, device: route.device, type },
      ),
      evidence: [
        routeEvidence(`route of ${node.name} to ${address}`, route),
        attachmentEvidence(path.attachment!),
        ...probeEvidence(probesFrom(path, ['direct'])),
      ],
      data: { node, address, device: undefined, ahead: undefined, plugin: type },
    },
  ];
}

type Route = RouteEntry | undefined;

interface Misrouted {
  packet: RoutedPacket;
  route: Route;
  ahead: string | undefined;
}

/**
 * A packet of a mapping that the node does not route to the pod; undefined when no origin has all its possible packets misrouted. Policy rules
 * depend on the packet, not on the address alone.
 */
function misroutedOf(
  path: PathView,
  node: NodeView,
  devices: readonly string[],
  scene: Scene,
): Misrouted | undefined {
  for (const packets of routedToPod(path, scene)) {
    const wrong = packets.flatMap((packet): Misrouted[] => {
      const found = findRoute(node, packet);
      if ('doubt' in found) return [];
      const { route, rule } = found;
      if (!isWrong(route, devices, path, node)) return [];
      const isAhead = rule !== undefined && !OF_MAIN.has(rule.table ?? '');
      return [{ packet, route, ahead: isAhead ? describeRule(rule) : undefined }];
    });
    if (wrong.length === packets.length && wrong[0] !== undefined) return wrong[0];
  }
  return undefined;
}

/** The tables of which a route in main takes precedence. */
const OF_MAIN: ReadonlySet<string> = new Set(['main', 'default']);

/** Whether a route is known not to lead to the pod. */
function isWrong(route: Route, devices: readonly string[], path: PathView, node: NodeView): boolean {
  if (route === undefined) return true;
  if (route.type === 'local') return false;
  if (route.type !== 'unicast') return true;
  // By the node's own address: what is at that device takes packets to all pods and passes them on (Cilium's default routing).
  if (route.gateway !== undefined && node.isLocal(route.gateway) === true) return false;
  // By another way than the plugin's own device packets may arrive all the same (a router device before it): seeing is believing.
  if (devices.length === 0 || devices.includes(route.device ?? '')) return false;
  const direct = path.probes.get('direct')?.outcome;
  return !(answered(path, 'direct') || direct === undefined || direct === 'unknown');
}

const TO = '{address} of {pod}';
const TO_FROM = `${TO} from {source}` as const;

/** What is wrong with a route; `source`: of the packets that it is about, where the route differs between packets. */
function routeMessage(
  route: Route,
  devices: readonly string[],
  names: { node: string; address: string; pod: string },
  source: string | undefined,
): Message {
  if (route === undefined) {
    return source === undefined
      ? words(`{node} has no route to ${TO}`, names)
      : words(`{node} has no route to ${TO_FROM}`, { ...names, source });
  }
  if (route.type !== 'unicast') {
    const args = { ...names, type: route.type };
    return source === undefined
      ? words(`{node} has no route to ${TO} except one of type {type}`, args)
      : words(`{node} has no route to ${TO_FROM} except one of type {type}`, { ...args, source });
  }
  const { device } = route;
  // A route with several next hops has no device of its own.
  if (device === undefined) {
    const args = { ...names, devices };
    return source === undefined
      ? words(`{node} sends packets to ${TO} by several next hops instead of {devices:or}`, args)
      : words(`{node} sends packets to ${TO_FROM} by several next hops instead of {devices:or}`, {
          ...args,
          source,
        });
  }
  const args = { ...names, device, devices };
  return source === undefined
    ? words(`{node} sends packets to ${TO} by {device} instead of {devices:or}`, args)
    : words(`{node} sends packets to ${TO_FROM} by {device} instead of {devices:or}`, { ...args, source });
}

/** The devices on the node that lead to the pod, and the bridges that these are ports of. */
function hostDevices(path: PathView, node: NodeView, address: string): string[] {
  const { named, peers } = linksToPod(path, node, address);
  return [
    ...new Set(
      [...named, ...peers].flatMap(({ name, master }) => (master === undefined ? [name] : [name, master])),
    ),
  ];
}

/** Of a bridge and its port, the bridge: routes lead there. */
function towardsPod(node: NodeView, devices: readonly string[]): string | undefined {
  const links = known(node.seen?.network.links) ?? [];
  return devices.find((device) => links.some(({ name, master }) => name === device && master === undefined));
}

function routeEvidence(where: string, route: Route): Evidence {
  return { kind: 'route', where, saw: describeRoute(route) };
}
