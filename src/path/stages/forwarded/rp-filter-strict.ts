import { basename } from 'node:path';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { type ProbeResult, vantages } from '../../model/probe.ts';
import { isWayClear } from '../../view/clear-way.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { AWAY, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { routeTo } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { neighbourOf, podAddress } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  /** Those by which the dropped packets come; empty where the links do not show it. */
  devices: string[];
}

export const rpFilterStrict = defineFailure<Data>({
  code: 'rp-filter-strict',
  stage: 'forwarded',
  severity: 'broken',
  title: 'the reverse path filter drops packets whose answers leave by another device',
  explanation:
    'With strict reverse path filtering (rp_filter=1), the kernel drops a packet when the route back to its source leads out by another device ' +
    'than the one it came in by; only a counter shows it. On nodes with two interfaces, policy routes, ipvlan or pods with a second network, ' +
    'such paths are normal.',
  remedy:
    'Set the filter to loose (rp_filter=2) on the devices, or turn it off (0) on those without an address of their own, where loose drops as ' +
    'well; do the same in /etc/sysctl.d.',
  restart: 'no',
  sources: [
    'lyft/cni-ipvlan-vpc-k8s#38',
    'containers/netavark#962',
    'https://docs.kernel.org/networking/ip-sysctl.html (rp_filter)',
  ],
  mutedBy: ['earlier', 'ip-forward-off', 'pod-route-missing'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, port, subject } = path;
      const silent = probesFrom(path, vantages).filter(({ outcome }) => outcome === 'timeout');
      if (node === undefined || silent.length === 0) return [];
      const drops = dropsOf(silent);
      const strict = strictDevices(node);
      if (drops === undefined || strict.length === 0 || !isWayClear(path, scene)) return [];
      const devices = strict.filter((device) => isOtherWay(device, path, silent, scene));
      const named = devices.length > 0 ? devices : strict;
      return [
        {
          subject,
          message: words(
            '{node} drops packets of {pod} for {port} as spoofed: the reverse path filter is strict on {devices}',
            { node: node.name, pod: podName(subject.pod!), port: formatPort(port), devices: named },
          ),
          evidence: [
            ...named.map((device) => ({
              kind: 'sysctl' as const,
              where: `${settingOf(device)} of ${node.name} (the larger of this and the setting of all is in force)`,
              saw: node.sysctl(settingOf(device))!,
            })),
            {
              kind: 'sysctl',
              where: `IPReversePathFilter in /proc/net/netstat of ${node.name}`,
              saw: `${drops} packets dropped during the probes`,
            },
            ...probeEvidence(silent),
          ],
          data: { node, devices },
        },
      ];
    });
  },

  heal({ data: { node, devices } }) {
    if (devices.length === 0) {
      return {
        by: 'hand',
        why: `it is unknown by which device the dropped packets arrive at ${node.name}, and the filter of its other devices is there for a reason`,
      };
    }
    const settings = devices.map((device) => ({ device, value: tolerantSetting(node, device) }));
    const stuck = settings.find(({ value }) => value === undefined);
    if (stuck !== undefined) {
      return {
        by: 'hand',
        why: `${stuck.device} has no address, so no setting of its own lets packets in while ${settingOf('all')} is 1: that setting affects every device of ${node.name}`,
      };
    }
    return {
      by: 'steps',
      steps: settings.map(({ device, value }) => ({
        on: 'node',
        node: node.name,
        why: `accept packets on ${device} whose answers leave by another device`,
        action: { do: 'set-sysctl', name: settingOf(device), value: value! },
      })),
    };
  },

  page: {
    see:
      'Connections of some clients time out, depending on their network. The counter of `nstat -az TcpExtIPReversePathFilter` ' +
      'increases.',
    why:
      'The effective value is the larger of the setting of `all` and that of the device. systemd and some distributions set 1 for ' +
      'all devices; a node with two uplinks, policy routing or ipvlan then drops packets that arrive by the other device.',
    check: {
      run: [
        'sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.eth0.rp_filter',
        'ip route get 198.51.100.7',
        'nstat -az TcpExtIPReversePathFilter',
      ],
      look:
        'The effective value is 1 on the device by which the packets arrive, and the route back to the client names another device. ' +
        "The counter covers the whole node since boot, and the strict setting is often intended (Calico sets it on its pods' " +
        'devices): read the counter before and after a failing connection. The doctor does this with its probes, and fixes only the ' +
        'devices by which the dropped packets arrive.',
    },
    fix:
      '`sysctl -w net.ipv4.conf.DEVICE.rp_filter=2` (loose): the larger of this and the setting of `all` is in force, so 2 applies ' +
      'whatever `all` is. On a device without an address of its own, loose drops as well: set 0 there, and for `all`. Do the same ' +
      'in `/etc/sysctl.d`, or the next boot undoes it.',
  },
});

export function settingOf(device: string): string {
  return `net.ipv4.conf.${device.replaceAll('.', '/')}.rp_filter`;
}

/** The devices on which the filter is strict: the larger of the setting of the device and that of all is 1. */
function strictDevices(node: NodeView): string[] {
  const all = Number(node.sysctl(settingOf('all')) ?? 0);
  return (known(node.seen?.network.links) ?? [])
    .filter(({ name, up }) => {
      const own = node.sysctl(settingOf(name));
      return up && name !== 'lo' && own !== undefined && Math.max(all, Number(own)) === 1;
    })
    .map(({ name }) => name);
}

/**
 * The packets that the filter dropped during the probes, when they may belong to the probes; undefined when not. The counter covers the whole node
 * since boot: any node drops packets now and then, and a device may be strict on purpose. So at least one packet of each silent probe from the node
 * must have been dropped, or, where those are answered, of each of the others.
 */
function dropsOf(silent: readonly ProbeResult[]): number | undefined {
  const drops = silent[0]!.reversePathDrops ?? 0;
  const onNode = silent.filter(({ vantage }) => !AWAY.includes(vantage));
  const needed = onNode.length > 0 ? onNode.length : silent.length;
  return drops >= needed ? drops : undefined;
}

/**
 * Whether packets that come by a device would be answered by another. Where the node's own probes fail it is the pod's packets: they come by
 * a link of the pod that the route to it does not lead to. Where only others' fail it is theirs: they come by the device that has the address they
 * ask for, and the route to them leads elsewhere.
 */
function isOtherWay(device: string, path: PathView, silent: readonly ProbeResult[], scene: Scene): boolean {
  const node = path.node!;
  if (silent.some(({ vantage }) => !AWAY.includes(vantage))) {
    const address = podAddress(path)!;
    const link = known(node.seen!.network.links)!.find(({ name }) => name === device)!;
    const netns = path.sandbox?.netns;
    if (netns === undefined) return false;
    return link.peerNamespace === basename(netns) && routeTo(node, address)?.device !== device;
  }
  const client = neighbourOf(path, scene);
  const addresses = known(node.seen!.network.addresses);
  return (
    client !== undefined &&
    addresses?.some((entry) => entry.device === device && entry.address === path.address) === true &&
    routeTo(node, client)?.device !== device
  );
}

/**
 * The setting by which a device takes packets of any source there is a route to: of its own and that of all, the larger counts, and 2 is loose.
 * On a device without an address even that drops what does not fit, and it takes 0. Source: fib_frontend.c, __fib_validate_source
 * (`no_addr`, `last_resort`). Undefined when there is none.
 */
function tolerantSetting(node: NodeView, device: string): '2' | '0' | undefined {
  const addresses = known(node.seen!.network.addresses);
  if (addresses?.some((entry) => entry.device === device && entry.family === 'ipv4')) return '2';
  return node.sysctl(settingOf('all')) === '0' ? '0' : undefined;
}
