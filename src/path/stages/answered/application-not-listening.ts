import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { podName } from '../../view/pod-name.ts';
import { probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView } from '../../view/scene.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const applicationNotListening = defineFailure<null>({
  code: 'application-not-listening',
  stage: 'answered',
  severity: 'broken',
  title: 'nothing in the pod listens on the container port',
  explanation:
    "The pod's own address refuses connections to the container port, so the path works but nothing listens at its end: the application listens " +
    "on another port, or only on the pod's 127.0.0.1, or has exited. `containerPort` is only a declaration; nothing checks it.",
  remedy: 'Let the application listen on the container port on all addresses, or correct `containerPort`.',
  restart: 'needed',
  restartReason:
    "what a container's process listens on is set by its image, arguments and configuration, and the ports of an existing pod cannot be changed",
  sources: [
    'https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports (containerPort)',
  ],
  mutedBy: ['pod-route-missing', 'container-not-running'],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      // One that is coming up or going down does not listen yet, or any more.
      const isUp = path.pod.status?.phase === 'Running' && path.pod.metadata?.deletionTimestamp === undefined;
      if (node === undefined || !isUp || path.probes.get('direct')?.outcome !== 'refused') return [];
      return [
        {
          subject,
          message: words('{pod} refuses {containerPort}, where {port} of {node} leads', {
            pod: podName(subject.pod!),
            containerPort: `${port.protocol} ${port.containerPort}`,
            port: formatPort(port),
            node: node.name,
          }),
          evidence: [...probeEvidence(probesFrom(path, ['direct'])), ...containerEvidence(path)],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'only the owner of the application can change where it listens' }),

  page: {
    see: "Connections are refused from everywhere, also at the pod's own address.",
    why:
      "The kernel refuses the connection in the pod's network namespace, because no socket listens. `kubectl port-forward` connects " +
      'to 127.0.0.1 in the pod, so it can work where the hostPort does not.',
    check: {
      run: ['curl -sS --max-time 2 192.168.1.2:8080', 'ip -all netns exec ss -Htln'],
      look:
        "The connection to podIP:containerPort is refused. In the pod's namespace (`ip -all` lists one after the other) the sockets " +
        'listen on another port or on 127.0.0.1.',
    },
    fix: 'Let the application listen on `0.0.0.0` (or `::`) and the containerPort, or correct `containerPort`.',
  },
});

/** What the kubelet says of the containers that have the port. */
function containerEvidence({ pod, port }: PathView): Evidence[] {
  const owners = (pod.spec?.containers ?? []).filter(({ ports }) =>
    ports?.some(({ containerPort }) => containerPort === port.containerPort),
  );
  return owners.flatMap(({ name }) => {
    const status = pod.status!.containerStatuses?.find((entry) => entry.name === name);
    if (status === undefined) return [];
    const { waiting, terminated } = status.state ?? {};
    const state =
      waiting?.reason ?? terminated?.reason ?? (status.ready ? 'running, ready' : 'running, not ready');
    return [
      {
        kind: 'object' as const,
        where: `container ${name}`,
        saw: `${state}, restarted ${status.restartCount} times`,
      },
    ];
  });
}
