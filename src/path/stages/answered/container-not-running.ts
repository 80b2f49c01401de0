import { lastingContainers } from '../../../kube/pods.ts';
import type { Container, ContainerStatus, Event } from '../../../kube/types.ts';
import type { Evidence } from '../../model/finding.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { lacksSandbox } from '../../view/lacks-sandbox.ts';
import { podName } from '../../view/pod-name.ts';
import { probeEvidence, probesFrom } from '../../view/probe-facts.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { complaintEvidence } from '../complaints.ts';
import { excerpt, LONGEST } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** Why a container does not serve its port, by what its kubelet says of it. */
interface Ailment {
  container: string;
  reason: string;
  /** It runs, and its own probe says that it is not ready. */
  runs: boolean;
  evidence: Evidence[];
}

export const containerNotRunning = defineFailure<null>({
  code: 'container-not-running',
  stage: 'answered',
  severity: 'broken',
  title: 'the container that has the port does not run, or is not ready',
  explanation:
    'A mapping exists as soon as the sandbox of the pod does, whatever becomes of the containers in it. While the container with the port waits ' +
    '(its image cannot be pulled, its command fails again and again, what it refers to is missing), has ended, or fails its own readiness probe, ' +
    "connections reach the pod's network, and nothing answers there.",
  remedy:
    'Fix what the reason and the event name: the image, the command, the configuration or the volumes of the container. The kubelet tries again by itself.',
  restart: 'no',
  sources: ['https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states'],
  mutedBy: 'earlier',

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, subject } = path;
      const ailment = node === undefined ? undefined : ailmentOf(path, scene);
      if (ailment === undefined) return [];
      const { container, reason, runs, evidence } = ailment;
      const direct = probesFrom(path, ['direct']);
      const names = {
        container,
        reason,
        pod: podName(subject.pod!),
        port: formatPort(port),
        node: node!.name,
      };
      return [
        {
          subject,
          message: runs
            ? words(
                'container {container} of {pod} is not ready ({reason}), where {port} of {node} leads',
                names,
              )
            : words(
                'container {container} of {pod} is not running ({reason}), so nothing answers where {port} of {node} leads',
                names,
              ),
          evidence: [...evidence, ...probeEvidence(direct)],
          // What is not ready may still take connections, as long as nobody has tried.
          ...(runs && direct.length === 0 ? { severity: 'risk' as const } : {}),
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: 'only the owner of the pod can change its image, command or configuration',
  }),

  page: {
    see: 'Connections are refused or time out everywhere, also at the pod. `kubectl get pods` shows a reason instead of `Running`, or `0/1` ready.',
    why: [
      'The sandbox of a pod, with its address and its mapping, is created first and stays while containers come and go. So every stage of the ' +
        'path before the last is in order, and only the state of the container shows the cause.',
      '| reason | meaning |\n|---|---|\n' +
        '| `ErrImagePull`, `ImagePullBackOff`, `InvalidImageName` | the image is not there, or may not be pulled |\n' +
        '| `CrashLoopBackOff` | the process ends again and again; the kubelet waits longer each time |\n' +
        '| `CreateContainerConfigError`, `CreateContainerError`, `RunContainerError` | a ConfigMap, Secret, mount or command is missing |\n' +
        '| `PodInitializing` | an init container does not end |\n' +
        '| `ContainerCreating` | a volume cannot be mounted, or the sandbox cannot be created |',
    ],
    check: {
      run: ['kubectl get pods -A', 'kubectl get events -A'],
      look: 'The status and the ready containers of the pod, and the newest warnings about it; `kubectl describe` shows both together.',
    },
    fix: 'Correct the image, the command or what the container refers to. The kubelet starts it again without a new pod, unless the specification of the pod itself has to change.',
    restart:
      'Not needed for the path: sandbox and mapping stay. The pod has to be recreated only where its specification must change in more than its images.',
  },
});

/**
 * Whether what is found of a mapping may be over: the container will start in a moment by what its kubelet says, and only an event says otherwise,
 * which stays as it was before a fix until the runtime has tried again.
 */
export function mayBeOver(code: string, path: PathView): boolean {
  if (code !== containerNotRunning.code) return false;
  const statuses = servingStatuses(path);
  // Of containers of which nothing is said, nothing says that they will start.
  return statuses.length > 0 && statuses.every(({ state }) => isComingUp(state?.waiting));
}

function isComingUp(waiting: { reason?: string } | undefined): boolean {
  return waiting !== undefined && COMING_UP.has(waiting.reason ?? '');
}

/** Reasons by which a container waits that will start in a moment, unless an event says otherwise. */
const COMING_UP: ReadonlySet<string> = new Set(['', 'ContainerCreating', 'PodInitializing']);

/** Events that say why a container does not start; what else may be said of a pod is about other things. */
const EXPLAINING: ReadonlySet<string | undefined> = new Set([
  'BackOff',
  'Failed',
  'FailedMount',
  'FailedAttachVolume',
  'FailedPostStartHook',
  'FailedCreatePodSandBox',
  'InspectFailed',
  'ErrImageNeverPull',
]);

/**
 * What other failures say of a node, by what its runtime says when it creates a sandbox. As long as they are there, they are the cause; once they are
 * fixed, the event is over ({@link mayBeOver}).
 */
const OF_THE_NODE = new RegExp(
  [
    'failed to find plugin|permission denied|exec format error|executable file not found|no such file or directory',
    'incompatible CNI versions|unsupported CNI|must be called as (?:a )?chained plugin|cni (?:config|plugin) (?:un|not )initialized',
    'dial unix|connection refused|ECONNREFUSED|ENOENT|is the agent running|agent is not there',
    'cannot be used|could not (?:find|initialize)|failed to locate|does not exist|No chain/target',
  ].join('|'),
  'i',
);

function ailmentOf(path: PathView, scene: Scene): Ailment | undefined {
  // One that is going down does not run any more.
  if (path.pod.metadata?.deletionTimestamp !== undefined) return undefined;
  for (const status of servingStatuses(path)) {
    const ailment = ailmentOfContainer(status, path, scene);
    if (ailment !== undefined) return ailment;
  }
  return undefined;
}

/** The statuses of the containers that have the port. */
function servingStatuses({ pod, port }: PathView): ContainerStatus[] {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const statuses = [...containerStatuses, ...initContainerStatuses];
  const serving = lastingContainers(pod).filter((container) => hasPort(container, port));
  return serving.flatMap(({ name }) => statuses.find((entry) => entry.name === name) ?? []);
}

function hasPort({ ports = [] }: Container, port: PathView['port']): boolean {
  return ports.some(
    ({ hostPort, containerPort, protocol = 'TCP' }) =>
      hostPort === port.hostPort && containerPort === port.containerPort && protocol === port.protocol,
  );
}

function ailmentOfContainer(status: ContainerStatus, path: PathView, scene: Scene): Ailment | undefined {
  const { name: container, ready, restartCount, state: { waiting, terminated, running } = {} } = status;
  const warnings = scene
    .eventsOf(path.pod)
    .filter((event) => event.type !== 'Normal' && isAbout(event, status));
  const restarted = `restarted ${restartCount ?? 0} times`;
  const found = (reason: string, saw: string, events: readonly Event[], runs = false): Ailment => ({
    container,
    reason,
    runs,
    evidence: [
      { kind: 'object', where: `container ${container}`, saw: excerpt(`${saw}, ${restarted}`) },
      ...events.map(complaintEvidence),
    ],
  });
  if (waiting !== undefined) {
    const { reason = '', message } = waiting;
    const events = explaining(warnings, path);
    const saw = message === undefined ? reason || 'waiting' : `${reason}: ${message}`;
    if (!isComingUp(waiting)) return found(reason, saw, events);
    return events.length === 0 ? undefined : found(reason || 'waiting', saw, events);
  }
  if (terminated !== undefined) {
    const { reason = 'terminated', exitCode } = terminated;
    return found(
      reason,
      exitCode === undefined ? reason : `${reason}, exit code ${exitCode}`,
      explaining(warnings, path),
    );
  }
  if (running === undefined || ready !== false) return undefined;
  // One that has just started is not ready yet: only its probe says that it should be.
  const refusal = warnings.findLast(
    (event) =>
      event.reason === 'Unhealthy' &&
      /readiness|startup/i.test((event.message ?? '').slice(0, LONGEST)) &&
      !isBefore(event, running.startedAt),
  );
  if (refusal === undefined || path.probes.get('direct')?.outcome === 'answered') return undefined;
  const which = /startup/i.test((refusal.message ?? '').slice(0, LONGEST)) ? 'startup' : 'readiness';
  return found(`its ${which} probe fails`, 'running, not ready', [refusal], true);
}

/** Whether an event is about a container, or about its pod as a whole; while it waits for the init containers, one about these is. */
function isAbout({ involvedObject: { fieldPath = '' } }: Event, { name, state }: ContainerStatus): boolean {
  const [, list, container] = /^spec\.(\w+)\{(.*)\}$/.exec(fieldPath) ?? [];
  if (container === undefined || container === name) return true;
  return list === 'initContainers' && state?.waiting?.reason === 'PodInitializing';
}

/** Whether an event was last seen before a time; where one of the times is not known, it may have been later. */
function isBefore(event: Event, time: string | undefined): boolean {
  const seen = event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp;
  return seen !== undefined && time !== undefined && Date.parse(seen) < Date.parse(time);
}

/** Of each reason the newest event that says more than the state does. */
function explaining(warnings: readonly Event[], path: PathView): Event[] {
  // A sandbox that is there was created in the end.
  const isWaiting = lacksSandbox(path);
  const newest = new Map<string, Event>();
  for (const event of warnings) {
    const { reason = '', message = '' } = event;
    if (!EXPLAINING.has(reason)) continue;
    if (reason === 'FailedCreatePodSandBox' && (!isWaiting || OF_THE_NODE.test(message.slice(0, LONGEST))))
      continue;
    // "Error: ImagePullBackOff".
    if (!/^Error: \w+$/.test(message.slice(0, LONGEST))) newest.set(reason, event);
  }
  return [...newest.values()];
}
