import { parseIp } from '../../../util/ip.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { routeTo } from '../../view/routing.ts';
import type { PathView } from '../../view/scene.ts';
import { podAddress } from '../../view/traces.ts';
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
        const settings = settingsOf(path, node).filter((name) => node.sysctl(name) === '0');
        return settings.map((name) => ({ name, family: path.family }));
      });
      const settings = [...new Set(off.map(({ name }) => name))];
      if (settings.length === 0) return paths.flatMap((path) => answersNotForwarded(path, node));
      // Of one family, where there are mappings of the other that do not suffer.
      const [family, ...others] = new Set(off.map((entry) => entry.family));
      const isPart = others.length === 0 && paths.some((path) => path.family !== family);
      return [
        {
          subject: { node: node.name, ...(isPart && family !== undefined ? { family } : {}) },
          message: words(
            '{node} does not forward packets ({settings}), so its hostPorts answer only the node itself',
            { node: node.name, settings: settings.map((name) => `${name}=0`) },
          ),
          evidence: settings.map((name) => ({ kind: 'sysctl', where: `${name} of ${node.name}`, saw: '0' })),
          data: { node, settings },
        },
      ];
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

/** What a pod sends comes in by its own device, and the kernel asks that device whether it may be forwarded (ip_route_input_slow). */
function answersNotForwarded(path: PathView, node: NodeView): Detection<Data>[] {
  const { address, port, subject } = path;
  const pod = podAddress(path);
  if (address === undefined || pod === undefined || parseIp(pod)?.family !== 'ipv4') return [];
  const device = address.startsWith('127.') ? undefined : routeTo(node, pod)?.device;
  const setting = device === undefined ? undefined : forwardingOf(device);
  if (device === undefined || setting === undefined || node.sysctl(setting) !== '0') return [];
  return [
    {
      subject,
      message: words(
        '{node} does not forward what comes from {pod} by {device} ({setting}), so {port} answers only the node itself',
        {
          node: node.name,
          pod: podName(subject.pod!),
          device,
          setting: `${setting}=0`,
          port: formatPort(port),
        },
      ),
      evidence: [{ kind: 'sysctl', where: `${setting} of ${node.name}`, saw: '0' }],
      data: { node, settings: [setting] },
    },
  ];
}

function forwardingOf(device: string): string {
  return `net.ipv4.conf.${device.replaceAll('.', '/')}.forwarding`;
}

/** The settings that a mapping needs: of the whole node, and of the device that packets to its address come in by. */
function settingsOf(path: PathView, node: NodeView): string[] {
  const { address } = path;
  if (address === undefined || podAddress(path) === undefined) return [];
  if (parseIp(address)!.family === 'ipv6') return address === '::1' ? [] : ['net.ipv6.conf.all.forwarding'];
  if (address.startsWith('127.')) return [];
  if (node.sysctl(SETTING) === '0') return [SETTING];
  const device = known(node.seen?.network.addresses)?.find((entry) => entry.address === address)?.device;
  return device === undefined ? [] : [forwardingOf(device)];
}
