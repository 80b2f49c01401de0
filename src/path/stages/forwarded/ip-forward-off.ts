import { parseIp } from '../../../util/ip.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
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
      if (settings.length === 0) return [];
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
      run: ['sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding', 'grep -r ip_forward /etc/sysctl.d'],
      look: 'The value is `0`. A probe from the node proves nothing: its packets are sent, not forwarded.',
    },
    fix: '`sysctl -w net.ipv4.ip_forward=1`, and correct the file that turned it off.',
  },
});

/** The settings that a mapping needs: of the whole node, and of the device that packets to its address come in by. */
function settingsOf(path: PathView, node: NodeView): string[] {
  const { address } = path;
  if (address === undefined || podAddress(path) === undefined) return [];
  if (parseIp(address)!.family === 'ipv6') return address === '::1' ? [] : ['net.ipv6.conf.all.forwarding'];
  if (address.startsWith('127.')) return [];
  if (node.sysctl(SETTING) === '0') return [SETTING];
  const device = known(node.seen?.network.addresses)?.find((entry) => entry.address === address)?.device;
  return device === undefined ? [] : [`net.ipv4.conf.${device.replaceAll('.', '/')}.forwarding`];
}
