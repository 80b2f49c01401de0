import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Listener } from '../../model/node-report.ts';
import { vantages } from '../../model/probe.ts';
import { listenersOn } from '../../view/by-port.ts';
import { memoKey } from '../../view/memory.ts';
import { podName } from '../../view/pod-name.ts';
import { probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import { type Complaint, complaintEvidence, complaintsOn } from '../complaints.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** Somebody who looked for a listening socket, and names the port. */
const LOOKED: Complaint = {
  byPort: memoKey(),
  portsIn: (message) =>
    /listen/i.test(message) ? [...message.matchAll(/(?<!\d)\d{1,5}(?!\d)/g)].map(Number) : [],
};

/**
 * A note: every working mapping has no listening socket. It is reported only where events show that something looks for one, usually a check that
 * greps for the port.
 */
export const noListeningSocket = defineFailure<null>({
  code: 'no-listening-socket',
  stage: 'answered',
  severity: 'note',
  title: 'no socket on the node listens on a hostPort, which is expected',
  explanation:
    'A mapping is a rule that rewrites packets before the kernel looks for a socket, so `netstat` and `ss` show no listener, and nothing is ' +
    'missing. A check that looks for a listening socket on the node finds none and raises a false alarm.',
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
          message: words(
            'a check looks for a socket that listens on {port} of {node}: there is no such socket, and {pod} does not need one',
            { port: formatPort(port), node: node.name, pod: podName(subject.pod!) },
          ),
          evidence: [complaintEvidence(complaint), ...probeEvidence(probesFrom(path, vantages))],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'only the check is wrong: let it connect to the port instead' }),

  page: {
    see: '`netstat -ltn` and `ss -ltn` on the node show nothing on the port, so the hostPort looks broken. It answers.',
    why:
      "Some older runtimes kept a socket open to reserve the port (kubenet did); CNI's portmap does not. The doctor reports this as " +
      'a note: nothing is broken.',
    check: {
      run: ['ss -Htln sport = :80', 'curl -sS --max-time 2 -o /dev/null 172.17.0.3:80'],
      look: '`ss` prints nothing and curl succeeds.',
    },
    fix: 'Let the check connect to the port.',
    restart: 'Not needed: only the check is wrong, and the mapping works.',
  },
});
