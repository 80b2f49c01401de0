import { isEveryAddress, PORT_TAKEN_REASON } from '../../../kube/host-ports.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import type { PathView } from '../../view/scene.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const hostportConflict = defineFailure<null>({
  code: 'hostport-conflict',
  stage: 'declared',
  severity: 'broken',
  title: 'two pods on one node request the same hostPort',
  explanation:
    'One port of an address leads to one pod. The scheduler keeps such pods apart, except for static pods, pods that set their node themselves, ' +
    'and pods of two schedulers. The kubelet then rejects the later pod; where it does not, the first mapping wins.',
  remedy: 'Give one of the two pods another port, hostIP or node.',
  restart: 'needed',
  restartReason: 'neither the port nor the node of an existing pod can be changed',
  sources: ['containernetworking/plugins#1267', 'kubernetes/kubernetes#31307'],
  mutedBy: [],

  detect(scene) {
    const groups = Map.groupBy(
      scene.paths.filter(({ node }) => node !== undefined),
      ({ node, port }) => `${node!.name} ${port.protocol} ${port.hostPort}`,
    );
    return [...groups.values()].flatMap((paths) => {
      const holders = new Holders();
      return [...paths].sort(byPrecedence).flatMap((path): Detection<null>[] => {
        const first = holders.first(path);
        holders.add(path);
        if (first === undefined) return [];
        const [loser, winner] = [path.subject.pod!, first.subject.pod!];
        return [
          {
            subject: path.subject,
            message: words('{pod} requests {port} of {node}, which {holder} has', {
              pod: podName(loser),
              port: formatPort(path.port),
              node: path.node!.name,
              holder: podName(winner),
            }),
            evidence: [
              {
                kind: 'object',
                where: `pod ${podName(winner)}`,
                saw: `${formatPort(first.port)}, created ${createdAt(first)}`,
              },
              {
                kind: 'object',
                where: `pod ${podName(loser)}`,
                saw: `${formatPort(path.port)}, created ${createdAt(path)}${refusal(path)}`,
              },
            ],
            data: null,
          },
        ];
      });
    });
  },

  heal: () => ({ by: 'hand', why: 'their owners must decide which of the two pods keeps the port' }),

  page: {
    see:
      'The wrong pod answers, or the later pod is `Failed` with reason `NodePorts` ("Pod was rejected: Node didn\'t have enough ' +
      'resource" or "didn\'t have free ports").',
    why:
      "A pod with `nodeName` in its spec, a static pod and a pod of another scheduler bypass the scheduler's check for free ports. " +
      'The kubelet applies the same check and rejects the later pod. Where it does not (the earlier pod is terminating, or another ' +
      'client created the sandbox), two mappings exist, and with the reference portmap the first wins. Ports conflict when protocol ' +
      'and port are the same and either hostIP is empty or both are equal.',
    check: {
      run: [
        'kubectl get pods -A -o custom-columns=NODE:.spec.nodeName,NAME:.metadata.name,PHASE:.status.phase,REASON:.status.reason,PORTS:.spec.containers[*].ports[*].hostPort',
        'iptables -w -t nat -S CNI-HOSTPORT-DNAT',
      ],
      look: 'Two pods of one NODE have the same port. In the chain, two lines have the same `--dports`: the first one applies.',
    },
    fix: 'Give one of them another port, hostIP or node. Replace `nodeName` with a `nodeSelector`, so that the scheduler sees the pod.',
  },
});

interface Holder {
  path: PathView;
  place: number;
}

/** The pods that have a port of a node, in their order: what comes first is found without a look at all, which may be thousands. */
class Holders {
  #first: Holder | undefined;
  /** The first of each address; undefined stands for those of every address. */
  readonly #byAddress = new Map<string | undefined, Holder>();
  #count = 0;

  add(path: PathView): void {
    const holder = { path, place: this.#count++ };
    const address = addressOf(path);
    this.#first ??= holder;
    if (!this.#byAddress.has(address)) this.#byAddress.set(address, holder);
  }

  /** The first mapping of another pod that this one cannot be beside. All mappings of earlier pods have been added, and none of later ones. */
  first(path: PathView): PathView | undefined {
    const address = addressOf(path);
    const holders =
      address === undefined ? [this.#first] : [this.#byAddress.get(undefined), this.#byAddress.get(address)];
    const [found] = holders
      .flatMap((holder) => (holder === undefined || holder.path.pod === path.pod ? [] : [holder]))
      .sort((a, b) => a.place - b.place);
    return found?.path;
  }
}

/** Undefined for every address. */
function addressOf({ port }: PathView): string | undefined {
  return isEveryAddress(port.hostIP) ? undefined : port.hostIP;
}

/** Who came first has the port; one that the kubelet refused has it in no case. */
function byPrecedence(a: PathView, b: PathView): number {
  const refused = (path: PathView) => (path.pod.status?.reason === PORT_TAKEN_REASON ? 1 : 0);
  const made = (path: PathView) => path.pod.metadata?.creationTimestamp ?? '';
  return (
    refused(a) - refused(b) ||
    made(a).localeCompare(made(b)) ||
    podName(a.subject.pod!).localeCompare(podName(b.subject.pod!))
  );
}

function createdAt({ pod }: PathView): string {
  const time = pod.metadata?.creationTimestamp;
  return time === undefined ? 'at an unknown time' : String(time);
}

function refusal({ pod }: PathView): string {
  return pod.status?.reason === PORT_TAKEN_REASON
    ? `, rejected by the kubelet: ${pod.status.message ?? PORT_TAKEN_REASON}`
    : '';
}
