import { formatPort } from '../../model/host-ports.ts';
import { memoKey } from '../../view/memory.ts';
import { podName } from '../../view/pod-name.ts';
import { type Complaint, complaintEvidence, complaintsOn } from '../complaints.ts';
import { type Detection, defineFailure } from '../failure.ts';

const ASKED: Complaint = {
  byPort: memoKey(),
  portsIn: (message) => [...message.matchAll(/\[::1\]:(\d{1,5})(?!\d)/g)].map(([, port]) => Number(port)),
};

/**
 * A note, and silent on a node where nobody asks: that [::1] does not work is true of every mapping of every node. It is told where the
 * events show that somebody does ask, a probe of the kubelet most often, whose `host: localhost` is [::1] first.
 */
export const v6Loopback = defineFailure<null>({
  code: 'v6-loopback',
  stage: 'forwarded',
  severity: 'note',
  title: '[::1] and a hostPort never answer, which is as it is',
  explanation:
    'A packet from ::1 must not leave the loopback device, and the kernel has no switch for IPv6 that allows it, as route_localnet does for 127.0.0.1. So no mapping works from [::1], ' +
    'whatever the rules; `localhost` is often [::1] first, and a client that does not go on to 127.0.0.1 fails.',
  remedy: "Ask 127.0.0.1 or the node's address.",
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
          message: `somebody on ${node.name} asks [::1]:${port.hostPort} for ${formatPort(port)} of ${podName(subject.pod!)}, which cannot answer there`,
          evidence: [complaintEvidence(complaint)],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'the kernel has no switch for it: ask 127.0.0.1' }),
});
