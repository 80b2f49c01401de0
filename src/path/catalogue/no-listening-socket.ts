import { listenersOn } from '../by-port.ts';
import { type Complaint, complaintEvidence, complaintsOn } from '../complaints.ts';
import { type Detection, defineFailure } from '../failure.ts';
import { formatPort } from '../host-ports.ts';
import { memoKey } from '../memory.ts';
import type { Listener } from '../node-report.ts';
import { podName } from '../pod-of.ts';
import { vantages } from '../probe.ts';
import { probeEvidence, probesFrom } from '../probe-facts.ts';
import { untilComplaint, watchingPod } from '../watching-pod.ts';

/** Somebody who looked for a listening socket, and names the port. */
const LOOKED: Complaint = {
  byPort: memoKey(),
  portsIn: (message) =>
    /listen/i.test(message) ? (message.match(/(?<!\d)\d{1,5}(?!\d)/g) ?? []).map(Number) : [],
};

const LOOKING_POD = 'looks-for-a-socket';

/**
 * A note, and silent on a node where nobody looks: that no socket listens is true of every mapping that works. It is told where the events
 * show that somebody looks for one, a check that greps for the port, most often.
 */
export const noListeningSocket = defineFailure<null>({
  code: 'no-listening-socket',
  stage: 'answered',
  severity: 'note',
  title: 'no socket of the node listens on a hostPort, which is as it should be',
  explanation:
    'A mapping is a rule that rewrites packets before any socket is looked for; `netstat` and `ss` show nothing, and nothing is missing. A check that looks for a listening socket on the node ' +
    'finds none and raises a false alarm.',
  remedy: 'Connect to the port instead of looking for a socket.',
  restart: 'no',
  sources: ['aws/amazon-vpc-cni-k8s#3079'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      if (node === undefined) return [];
      const protocol = port.protocol.toLowerCase() as Listener['protocol'];
      // Where one does listen the complaint is about something else.
      if (listenersOn(node, protocol, port.hostPort)?.length !== 0) return [];
      const [complaint] = complaintsOn(node, scene, LOOKED).get(port.hostPort) ?? [];
      if (complaint === undefined) return [];
      return [
        {
          subject,
          message: `somebody misses a socket that listens on ${formatPort(port)} of ${node.name}: there is none, and ${podName(subject.pod!)} needs none`,
          evidence: [complaintEvidence(complaint), ...probeEvidence(probesFrom(path, vantages))],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'nothing is wrong but the check: have it connect to the port' }),

  fault: {
    does: "runs a pod on the node's network whose probe looks for a socket that listens on the hostPort",
    async inject(door, target) {
      const { hostPort } = target.port;
      const looked = `netstat -ltn | grep -q ':${hostPort} ' || { echo 'nothing listens on port ${hostPort}'; exit 1; }`;
      const check = { exec: { command: ['sh', '-c', looked] } };
      await door.apply([watchingPod(target, LOOKING_POD, check)]);
      await untilComplaint(door, target, LOOKING_POD);
    },
    restore: (door, target) => door.remove('Pod', target.pod.namespace, LOOKING_POD),
  },
});
