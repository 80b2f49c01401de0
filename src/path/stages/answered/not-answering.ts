import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { type ProbeResult, type Vantage, vantages } from '../../model/probe.ts';
import { shutOutBy } from '../../view/network-policy.ts';
import { podName } from '../../view/pod-name.ts';
import { servesOthersAlone } from '../../view/port-mapper.ts';
import { failed, probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView } from '../../view/scene.ts';
import { type Detection, defineFailure } from '../failure.ts';

const CLIENTS: Readonly<Record<Vantage, string>> = {
  direct: 'the node, past the mapping',
  node: 'the node itself',
  loopback: '127.0.0.1 of the node',
  'other-node': 'another node',
  pod: 'the pod itself',
  outside: 'outside',
};

export const notAnswering = defineFailure<null>({
  code: 'not-answering',
  stage: 'answered',
  severity: 'broken',
  title: 'the port does not answer, and no known failure explains it',
  explanation:
    'Probes got no answer, and everything that could be checked on the path is as it should be. Which clients get an ' +
    "answer shows where to look next: when the pod's own address does not answer, look into the pod (its firewall, a hanging application); " +
    'when only other machines fail, look between them and the node; when only the node or the pod itself fails, look at the masquerading.',
  remedy:
    'Compare the probes: look at the first part of the path that the failing probes share and the working ones do not.',
  restart: 'no',
  sources: ['https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/'],
  mutedBy: [
    'earlier',
    'application-not-listening',
    'container-not-running',
    'policy-denied',
    'off-node-blocked',
  ],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { port, subject } = path;
      const silent = probesFrom(path, vantages).filter((probe) => failed(probe) && isPromised(probe, path));
      // A pod that is still coming up, or is down, has no port to answer for.
      if (silent.length === 0 || !isUp(path) || shutOutBy(path, scene) !== undefined) return [];
      return [
        {
          subject,
          message: words('{port} of {pod} on {node} does not answer {clients}', {
            port: formatPort(port),
            pod: podName(subject.pod!),
            node: path.node!.name,
            clients: silent.map(({ vantage }) => CLIENTS[vantage]),
          }),
          evidence: probeEvidence(probesFrom(path, vantages)),
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'the cause is unknown, so there is no known fix' }),

  page: {
    see: 'Probes fail, and no known failure explains it.',
    why:
      'The doctor does not know every possible failure. The probes in the evidence narrow down the rest: they show which clients ' +
      'are served.',
    check: {
      run: ['curl -sS --max-time 2 192.168.1.2:8080', 'curl -sS --max-time 2 172.17.0.3:80'],
      look:
        "Look where the first one fails: at the pod's address (in the pod), at the node's address from the node (translation, " +
        'masquerading), from another machine (forwarding, firewalls).',
    },
    fix:
      'Follow the packet (`tcpdump -ni any port 80 or port 8080`). A bundle (`hostport doctor --save DIR`) contains all ' +
      'observations, for analysis elsewhere.',
    restart: 'Not known to help, because the cause is unknown.',
  },
});

/** [::1] is not expected to work: there is no route_localnet for IPv6. And who maps ports in another way may leave out the node's loopback, or the pod. */
function isPromised({ target: { address }, vantage }: ProbeResult, path: PathView): boolean {
  if (address === '::1') return false;
  return !(['loopback', 'pod'].includes(vantage) && servesOthersAlone(path));
}

function isUp({ pod, sandbox }: PathView): boolean {
  if (sandbox === undefined || pod.metadata?.deletionTimestamp !== undefined) return false;
  const containers = pod.status?.containerStatuses ?? [];
  return pod.status?.phase === 'Running' && containers.every(({ state }) => state?.running !== undefined);
}
