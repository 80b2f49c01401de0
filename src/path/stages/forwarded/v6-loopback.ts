import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { memoKey } from '../../view/memory.ts';
import { podName } from '../../view/pod-name.ts';
import { type Complaint, complaintEvidence, complaintsOn } from '../complaints.ts';
import { type Detection, defineFailure } from '../failure.ts';

const ASKED: Complaint = {
  byPort: memoKey(),
  portsIn: (message) => [...message.matchAll(/\[::1\]:(\d{1,5})(?!\d)/g)].map(([, port]) => Number(port)),
};

/**
 * A note: [::1] works for no mapping of any node. It is reported only where events show that a client uses it, usually a probe of the kubelet
 * whose `host: localhost` resolves to [::1] first.
 */
export const v6Loopback = defineFailure<null>({
  code: 'v6-loopback',
  stage: 'forwarded',
  severity: 'note',
  title: 'a hostPort never answers on [::1], which is expected',
  explanation:
    'A packet from ::1 must not leave the loopback device, and for IPv6 the kernel has no setting that allows it, as route_localnet does for ' +
    '127.0.0.1. So no mapping works from [::1], whatever the rules; `localhost` often resolves to [::1] first, and a client that does not then ' +
    'try 127.0.0.1 fails.',
  remedy: "Connect to 127.0.0.1 or the node's address.",
  restart: 'no',
  sources: ['https://www.cni.dev/plugins/current/meta/portmap/#known-issues'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      if (node === undefined || (port.hostIP !== undefined && port.hostIP !== '::1')) return [];
      const [complaint] = complaintsOn(node, scene, ASKED).get(port.hostPort) ?? [];
      if (complaint === undefined) return [];
      return [
        {
          subject,
          message: words(
            'a client on {node} connects to [::1]:{hostPort} for {port} of {pod}, which cannot answer there',
            { node: node.name, hostPort: port.hostPort, port: formatPort(port), pod: podName(subject.pod!) },
          ),
          evidence: [complaintEvidence(complaint)],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'the kernel has no setting for it: connect to 127.0.0.1' }),

  page: {
    see: '`curl [::1]:80` on the node fails; 127.0.0.1 answers.',
    why: "portmap's documentation mentions this as well. The doctor reports it as a note: nothing is broken.",
    check: {
      run: ['getent ahosts localhost', 'curl -sS --max-time 2 -o /dev/null 127.0.0.1:80'],
      look: '`localhost` resolves to `::1` first, and 127.0.0.1 answers.',
    },
    fix: "Connect to 127.0.0.1 or the node's address.",
    restart: 'Not needed, and of no use: the kernel has no setting for it, whatever the pod is.',
  },
});
