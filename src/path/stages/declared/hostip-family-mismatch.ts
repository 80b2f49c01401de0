import { parseIp } from '../../../util/ip.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const hostipFamilyMismatch = defineFailure<null>({
  code: 'hostip-family-mismatch',
  stage: 'declared',
  severity: 'broken',
  title: "the pod has no address of the hostIP's family",
  explanation:
    'netfilter cannot translate packets between IPv4 and IPv6. When the pod has no address of the family of its `hostIP`, portmap has no ' +
    'address to map to, writes no rule and reports success.',
  remedy:
    "Set `hostIP` to an address of the pod's family, or give the pod an address of the other family (dual stack).",
  restart: 'needed',
  restartReason: 'the ports of an existing pod cannot be changed',
  sources: ['containernetworking/plugins#379'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap(({ pod, port, subject, sandbox }): Detection<null>[] => {
      const family =
        port.hostIP === undefined || port.hostIP === '::' ? undefined : parseIp(port.hostIP)?.family;
      const ips = sandbox?.ips.length
        ? sandbox.ips
        : (pod.status?.podIPs ?? []).flatMap(({ ip }) => ip ?? []);
      if (family === undefined || ips.length === 0 || ips.some((ip) => parseIp(ip)?.family === family))
        return [];
      return [
        {
          subject,
          message: words('{pod} requests {port}, but has only {addresses}', {
            pod: podName(subject.pod!),
            port: formatPort(port),
            addresses: ips,
          }),
          evidence: [
            { kind: 'object', where: `pod ${podName(subject.pod!)}: hostIP`, saw: port.hostIP! },
            { kind: 'object', where: `pod ${podName(subject.pod!)}: status.podIPs`, saw: ips.join(', ') },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'only the owner of the pod can change its spec: hostIP must be of a family that the pod has',
  }),

  page: {
    see: 'The port does not answer. The pod is Running; portmap succeeded, but wrote no rule.',
    why:
      'A dual-stack pod has an address of each family, so this cannot happen. On a single-stack cluster a `hostIP` of the other ' +
      'family maps to nothing.',
    check: {
      run: [
        'kubectl get pods -A -o custom-columns=NAME:.metadata.name,HOSTIP:.spec.containers[*].ports[*].hostIP,IPS:.status.podIPs[*].ip',
        'iptables-save -t nat',
        'ip6tables-save -t nat',
      ],
      look: "All addresses in IPS are of one family and HOSTIP is of the other. No line of either table names the pod's sandbox.",
    },
    fix: "Set `hostIP` to an address of the pod's family, or make the cluster dual stack.",
  },
});
