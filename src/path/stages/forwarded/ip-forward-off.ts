import { parseIp } from '../../../util/ip.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { entryDevices } from '../../view/pod-devices.ts';
import { podName } from '../../view/pod-name.ts';
import { routeTo } from '../../view/routing.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { neighbourOf, podAddress } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  settings: string[];
}

export const SETTING = 'net.ipv4.ip_forward';

export const ipForwardOff = defineFailure<Data>({
  code: 'ip-forward-off',
  stage: 'forwarded',
  severity: 'broken',
  title: 'the node does not forward packets',
  explanation:
    "A mapping sends packets from the node's address on to the pod's. That is forwarding, and the kernel drops these packets when forwarding is " +
    'off. Connections from the node itself are sent, not forwarded: they work, while those from all other machines time out.',
  remedy:
    'Set net.ipv4.ip_forward (for IPv6, net.ipv6.conf.all.forwarding) to 1, also in /etc/sysctl.d, where it may have been turned off.',
  restart: 'no',
  sources: [
    'https://docs.kernel.org/networking/ip-sysctl.html (ip_forward)',
    'https://kubernetes.io/docs/setup/production-environment/container-runtimes/#prerequisite-ipv4-forwarding-optional',
  ],
  mutedBy: [],

  detect(scene) {
    return [...scene.nodes.values()].flatMap((node): Detection<Data>[] => {
      const paths = scene.pathsOn(node);
      const off = paths.flatMap((path) => {
        const setting = settingOf(path, node, scene);
        return setting !== undefined && node.sysctl(setting.name) === '0' ? [{ ...setting, path }] : [];
      });
      if (off.length === 0) return paths.flatMap((path) => answersNotForwarded(path, node));
      // Of the whole node first: where that is off, no device's setting matters.
      return [...Map.groupBy(off, ({ device }) => device ?? '').values()]
        .sort(([a], [b]) => Number(a!.device !== undefined) - Number(b!.device !== undefined))
        .map((entries) => ofNode(entries, paths, node));
    });
  },

  heal: ({ data: { node, settings } }) => ({
    by: 'steps',
    steps: settings.map((name) => ({
      on: 'node',
      node: node.name,
      why: `enable forwarding on ${node.name}`,
      action: { do: 'set-sysctl', name, value: '1' },
    })),
  }),

  page: {
    see: 'Connections from all other machines time out; on the node itself everything works.',
    why:
      "The kubelet does not set it; container runtimes and CNIs set it once, and kubeadm's preflight checks it once. `sysctl " +
      '--system` with a file such as `/etc/sysctl.d/99-hardening.conf` turns it off again.',
    check: {
      run: [
        'sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding',
        'sysctl -a -r "ipv4.conf.*.forwarding"',
        'grep -r ip_forward /etc/sysctl.d',
      ],
      look: 'The value is `0`, for the node or for one device: that of the address, or that of the pod. A probe from the node proves nothing: its packets are sent, not forwarded.',
    },
    fix: '`sysctl -w net.ipv4.ip_forward=1`, and correct the file that turned it off.',
  },
});

interface Off {
  name: string;
  /** The device whose setting it is; undefined for that of the whole node. */
  device: string | undefined;
  path: PathView;
}

/** What is off for mappings of a node: the whole node's settings, or that of one device. */
function ofNode(off: readonly Off[], paths: readonly PathView[], node: NodeView): Detection<Data> {
  const settings = [...new Set(off.map(({ name }) => name))];
  const device = off[0]!.device;
  // Of one family, where there are mappings of the other that do not suffer.
  const [family, ...others] = new Set(off.map(({ path }) => path.family));
  const isPart = others.length === 0 && paths.some((path) => path.family !== family);
  const names = { node: node.name, settings: settings.map((name) => `${name}=0`) };
  return {
    subject: { node: node.name, ...(isPart && family !== undefined ? { family } : {}) },
    message:
      device === undefined
        ? words(
            '{node} does not forward packets ({settings}), so its hostPorts answer only the node itself',
            names,
          )
        : words(
            '{node} does not forward what comes in by {device} ({settings}), so its hostPorts answer only the node itself',
            { ...names, device },
          ),
    evidence: settings.map((name) => ({ kind: 'sysctl', where: `${name} of ${node.name}`, saw: '0' })),
    data: { node, settings },
  };
}

/** What a pod sends comes in by its own device, and the kernel asks that device whether it may be forwarded (ip_route_input_slow). */
function answersNotForwarded(path: PathView, node: NodeView): Detection<Data>[] {
  const { address, port, subject } = path;
  const pod = podAddress(path);
  if (address === undefined || pod === undefined || parseIp(pod)?.family !== 'ipv4') return [];
  // Where it may be one device or another, each of them has to be off.
  const devices = address.startsWith('127.')
    ? []
    : (known(entryDevices(path, node, pod)) ?? fromRoute(node, pod));
  if (devices.length === 0 || devices.some((device) => node.sysctl(forwardingOf(device)) !== '0')) return [];
  const settings = devices.map(forwardingOf);
  return [
    {
      subject,
      message: words(
        '{node} does not forward what comes from {pod} by {device} ({setting}), so {port} answers only the node itself',
        {
          node: node.name,
          pod: podName(subject.pod!),
          device: devices,
          setting: settings.map((setting) => `${setting}=0`),
          port: formatPort(port),
        },
      ),
      evidence: settings.map((setting) => ({
        kind: 'sysctl',
        where: `${setting} of ${node.name}`,
        saw: '0',
      })),
      data: { node, settings },
    },
  ];
}

/** The device by which packets leave for a pod, where it is not seen by which they enter. */
function fromRoute(node: NodeView, pod: string): string[] {
  const device = routeTo(node, pod)?.device;
  return device === undefined ? [] : [device];
}

function forwardingOf(device: string): string {
  return `net.ipv4.conf.${device.replaceAll('.', '/')}.forwarding`;
}

/** The setting that a mapping needs: of the whole node, or else of the device that packets to its address come in by. */
function settingOf(path: PathView, node: NodeView, scene: Scene): Omit<Off, 'path'> | undefined {
  const { address } = path;
  if (address === undefined || podAddress(path) === undefined) return undefined;
  if (parseIp(address)!.family === 'ipv6') {
    return address === '::1' ? undefined : { name: 'net.ipv6.conf.all.forwarding', device: undefined };
  }
  if (address.startsWith('127.')) return undefined;
  if (node.sysctl(SETTING) === '0') return { name: SETTING, device: undefined };
  const device = entryOf(path, node, scene);
  return device === undefined ? undefined : { name: forwardingOf(device), device };
}

/** The device by which other machines' packets come in: that which has the address, or for one that no packet comes in by, that of the way to a neighbour. */
function entryOf(path: PathView, node: NodeView, scene: Scene): string | undefined {
  const { network } = node.seen ?? {};
  const device = known(network?.addresses)?.find((entry) => entry.address === path.address)?.device;
  const kind = known(network?.links)?.find(({ name }) => name === device)?.kind;
  if (device !== 'lo' && kind !== 'dummy') return device;
  const neighbour = neighbourOf(path, scene);
  return neighbour === undefined ? device : routeTo(node, neighbour)?.device;
}
