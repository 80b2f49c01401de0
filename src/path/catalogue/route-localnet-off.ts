import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import { type NodeView, portmapIn } from '../node-view.ts';
import { podDevice } from '../pod-link.ts';
import { podName } from '../pod-of.ts';
import { probeEvidence, probesFrom } from '../probe-facts.ts';
import { routeTo } from '../routing.ts';
import type { PathView } from '../scene.ts';
import { readSysctl, writeSysctl } from '../sysctl-faults.ts';
import { leadsToPod, podAddress, traceFrom } from '../traces.ts';

interface Data {
  node: NodeView;
  device: string;
}

export const routeLocalnetOff = defineFailure<Data>({
  code: 'route-localnet-off',
  stage: 'forwarded',
  severity: 'broken',
  title: 'connections to 127.0.0.1 do not leave the loopback',
  explanation:
    'A connection from the node to 127.0.0.1 and a hostPort has a source and a destination that must not be seen on any other device. The kernel refuses to send it to ' +
    "the pod unless route_localnet is set on the pod's device. portmap sets it when a sandbox is made; a hardening or a reload of sysctl files unsets it.",
  remedy: "Set route_localnet to 1 on the pod's device.",
  restart: 'no',
  sources: [
    'https://www.cni.dev/plugins/current/meta/portmap/#dnat',
    'https://docs.kernel.org/networking/ip-sysctl.html (route_localnet)',
  ],
  // By a route to the wrong device it is asked of that one.
  mutedBy: ['pod-route-missing'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<Data>[] => {
      const { node, port, subject } = path;
      if (node === undefined || !servesLoopback(path)) return [];
      const device = deviceOf(path);
      if (device === undefined) return [];
      const [own, all] = [settingOf(device), settingOf('all')];
      // Either will do (IN_DEV_ORCONF).
      if (node.sysctl(own) !== '0' || node.sysctl(all) !== '0') return [];
      const trace = traceFrom('loopback', path, scene);
      if ('unknown' in trace || !leadsToPod(trace.value, path)) return [];
      return [
        {
          subject,
          message: `127.0.0.1:${port.hostPort} of ${node.name} cannot reach ${podName(subject.pod!)} for ${formatPort(port)}: route_localnet is off on ${device}`,
          evidence: [
            { kind: 'sysctl', where: `${own} of ${node.name}`, saw: '0' },
            { kind: 'sysctl', where: `${all} of ${node.name}`, saw: '0' },
            ...probeEvidence(probesFrom(path, ['loopback'])),
          ],
          data: { node, device },
        },
      ];
    });
  },

  heal: ({ data: { node, device } }) => ({
    by: 'steps',
    steps: [
      {
        on: 'node',
        node: node.name,
        why: `let connections to 127.0.0.1 out by ${device}`,
        action: { do: 'set-sysctl', name: settingOf(device), value: '1' },
      },
    ],
  }),

  fault: {
    does: "sets route_localnet to 0 on the pod's device",
    async remember(door, target) {
      const name = settingOf(await podDevice(door, target));
      return { name, value: await readSysctl(door, target.node, name) };
    },
    async inject(door, target) {
      await writeSysctl(door, target.node, settingOf(await podDevice(door, target)), '0');
    },
    async restore(door, { node }, memo) {
      const { name, value } = memo as { name: string; value: string };
      // The device went with its pod: nothing to undo.
      const devices = await door.list(node, '/proc/sys/net/ipv4/conf');
      if (devices.some((device) => settingOf(device) === name)) await writeSysctl(door, node, name, value);
    },
  },
});

function settingOf(device: string): string {
  return `net.ipv4.conf.${device.replaceAll('.', '/')}.route_localnet`;
}

/** Whether 127.0.0.1 is promised to work: for mappings of every address or of the loopback, unless portmap was told not to care (snat). */
function servesLoopback({ node, port, address }: PathView): boolean {
  if (portmapIn(node?.chain)?.fields.snat === false) return false;
  if (address === undefined || address.includes(':')) return false;
  return port.hostIP === undefined || port.hostIP.startsWith('127.');
}

function deviceOf(path: PathView): string | undefined {
  const address = podAddress(path);
  const route = address === undefined ? undefined : routeTo(path.node!, address);
  return route?.type === 'unicast' ? route.device : undefined;
}
