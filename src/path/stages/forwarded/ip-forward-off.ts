import { parseIp } from '../../../net/ip.ts';
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
    "A mapping sends packets on from the node's address to the pod's, which is forwarding, and the kernel drops what it would have to forward. Connections from the " +
    'node itself are sent, not forwarded: there everything works, while all other machines time out.',
  remedy:
    'Set net.ipv4.ip_forward (and for IPv6 net.ipv6.conf.all.forwarding) to 1, and in /etc/sysctl.d as well, where whoever turned it off will have done it.',
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
        const settings = settingsOf(path).filter((name) => node.sysctl(name) === '0');
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
          message: `${node.name} forwards nothing (${settings.map((name) => `${name}=0`).join(', ')}), so its hostPorts answer the node alone`,
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
      why: `let ${node.name} forward packets`,
      action: { do: 'set-sysctl', name, value: '1' },
    })),
  }),
});

/** The settings that a mapping needs: of the whole node, and of the device that packets to its address come in by. */
function settingsOf(path: PathView): string[] {
  const { node, address } = path;
  if (node === undefined || address === undefined || podAddress(path) === undefined) return [];
  const family = parseIp(address)?.family;
  if (family === 'ipv6') return address === '::1' ? [] : ['net.ipv6.conf.all.forwarding'];
  if (family !== 'ipv4' || address.startsWith('127.')) return [];
  if (node.sysctl(SETTING) === '0') return [SETTING];
  const device = known(node.seen?.network.addresses)?.find((entry) => entry.address === address)?.device;
  return device === undefined ? [] : [`net.ipv4.conf.${device.replaceAll('.', '/')}.forwarding`];
}
