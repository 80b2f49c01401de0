import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { devicesWithoutLocalnet, type LoopbackDevice, localnetOf } from '../../view/localnet.ts';
import type { NodeView } from '../../view/node-view.ts';
import { podName } from '../../view/pod-name.ts';
import { probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  devices: LoopbackDevice[];
}

export const routeLocalnetOff = defineFailure<Data>({
  code: 'route-localnet-off',
  stage: 'forwarded',
  severity: 'broken',
  title: 'connections to 127.0.0.1 do not leave the loopback device',
  explanation:
    'A connection from the node to 127.0.0.1 and a hostPort has a source and a destination that must not appear on any other device. The kernel ' +
    "drops its packets unless route_localnet is set on the device by which they leave for the pod and on the device by which the pod's answers " +
    "enter. Often the two are the same device. With Cilium's default routing, packets leave by cilium_host and answers enter by the pod's lxc " +
    'device, and the reference portmap sets only the first. Hardening or a reload of sysctl files can unset either.',
  remedy: 'Set route_localnet to 1 on each device that lacks it.',
  restart: 'no',
  sources: [
    'https://www.cni.dev/plugins/current/meta/portmap/#dnat',
    'https://docs.kernel.org/networking/ip-sysctl.html (route_localnet)',
  ],
  // By a route to the wrong device it is asked of that one.
  mutedBy: ['pod-route-missing'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { port, subject } = path;
      const devices = known(devicesWithoutLocalnet(path, scene));
      if (devices === undefined || devices.length === 0) return [];
      const node = path.node!;
      const pod = podName(subject.pod!);
      return [
        {
          subject,
          message: words(
            '127.0.0.1:{hostPort} of {node} cannot reach {pod} for {port}: route_localnet is off on {devices:and}',
            {
              hostPort: port.hostPort,
              node: node.name,
              pod,
              port: formatPort(port),
              devices: devices.map(inWords),
            },
          ),
          evidence: [
            ...devices.map(({ device, passedBy }) => ({
              kind: 'sysctl' as const,
              where: `${localnetOf(device)} of ${node.name} (${PASSED[passedBy](pod)})`,
              saw: '0',
            })),
            { kind: 'sysctl', where: `${localnetOf('all')} of ${node.name}`, saw: '0' },
            ...probeEvidence(probesFrom(path, ['loopback'])),
          ],
          data: { node, devices },
        },
      ];
    });
  },

  heal: ({ data: { node, devices } }) => ({
    by: 'steps',
    steps: devices.map(({ device, passedBy }) => ({
      on: 'node',
      node: node.name,
      why: HEALED[passedBy](device),
      action: { do: 'set-sysctl', name: localnetOf(device), value: '1' },
    })),
  }),

  page: {
    see: "`curl 127.0.0.1:80` on the node fails; the node's own address and every other machine work.",
    why: [
      [
        '| network | packets leave by | answers enter by |',
        '|---|---|---|',
        '| a veth with a route of its own (ptp, Calico, Cilium with endpoint routes) | the veth | the veth |',
        '| a bridge | the bridge | the bridge |',
        "| Cilium's default routing | `cilium_host` | the pod's `lxc…` |",
      ].join('\n'),
      'Without the setting on the device by which packets leave, the connection fails at once; without it on the device by which ' +
        'answers enter, the kernel drops them as martians and the connection times out. The setting of `all` applies to every ' +
        'device.',
    ],
    check: {
      run: [
        'ip route get 192.168.1.2',
        'ip -d link show type veth',
        'ip netns list-id',
        "sysctl -ar 'net.ipv4.conf.*.route_localnet'",
      ],
      look:
        "The value is 0, also for `all`, on the device in the route to the pod, or on the device whose `link-netnsid` is the pod's " +
        'network namespace. If the links and the result of the attachment do not show by which device answers enter, the stage ' +
        '`forwarded` is unknown.',
    },
    fix: '`sysctl -w net.ipv4.conf.DEVICE.route_localnet=1` for each of the two devices.',
  },
});

/** Why a device needs the setting, for a mapping of a pod. */
const PASSED: Readonly<Record<LoopbackDevice['passedBy'], (pod: string) => string>> = {
  connections: (pod) => `packets to ${pod} leave by it`,
  answers: (pod) => `answers of ${pod} enter by it`,
  both: (pod) => `packets to ${pod} leave by it and answers enter by it`,
};

const HEALED: Readonly<Record<LoopbackDevice['passedBy'], (device: string) => string>> = {
  connections: (device) => `allow connections to 127.0.0.1 on ${device}`,
  answers: (device) => `allow answers to 127.0.0.1 on ${device}`,
  both: (device) => `allow connections to 127.0.0.1 and their answers on ${device}`,
};

function inWords({ device, passedBy }: LoopbackDevice): string {
  if (passedBy === 'both') return device;
  return `${device} (${passedBy === 'connections' ? 'packets leave by it' : 'answers enter by it'})`;
}
