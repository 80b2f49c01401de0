import { createHash } from 'node:crypto';
import type { Namespace, Pod } from '../../kube/types.ts';

/** Label of everything that the reader creates; its value is that of the run. Whoever cleans up goes by it. */
export const RUN_LABEL = 'hostport.dev/doctor-run';

/** The namespace that a run makes for itself. */
export function temporaryNamespace(run: string): string {
  return `hostport-doctor-${run}`;
}
/** Annotation of everything that the reader creates: when the pod, or of a namespace all pods of its run, have ended by themselves, RFC 3339. */
export const ENDS_ANNOTATION = 'hostport.dev/ends';
/** Annotation of a pod: what only the run that created it knows beforehand, so that a pod of the same name is recognised as another's. */
export const NONCE_ANNOTATION = 'hostport.dev/nonce';
/** The only container of a reader's pod. */
export const CONTAINER = 'reader';
/** Where the program is in an image of its own. */
export const OWN_PROGRAM = '/usr/local/bin/hostport';
/** Where the node's root directory is, read-only. */
export const HOST_ROOT = '/host';
/** Where a program is that was sent into the pod. */
export const SENT_PROGRAM = '/hostport/hostport';

/** A place of the node that a pod may write to. */
export interface WritableMount {
  /** On the node, without links. */
  path: string;
  is: 'directory' | 'file';
}

/** What a pod has that changes its node: what the changes need, and nothing more. */
export interface WriterSettings {
  /** Part of the pod's name: a node may get several, one after another. */
  number: number;
  capabilities: readonly string[];
  writes: readonly WritableMount[];
}

/** What a reader's pods are made of. */
export interface ReaderSettings {
  /** The run's own name: lower-case letters and digits. */
  run: string;
  namespace: string;
  image: string;
  /** Names of Secrets in the namespace. */
  imagePullSecrets: readonly string[];
  /** Whether probes are sent, for which sockets are opened in the network namespaces of pods. */
  probes: boolean;
  /** Whether the image is somebody else's, and the program is sent into it. */
  sendsProgram: boolean;
  /** The pods end by themselves after this many seconds, whatever becomes of whoever created them. */
  lifetimeSeconds: number;
  /** When the last of them have: RFC 3339. */
  ends: string;
}

/** The namespace of a run. What its pods need is refused by the Pod Security levels `baseline` and `restricted`. */
export function workNamespace({ run, namespace, ends }: ReaderSettings): Namespace {
  return {
    metadata: {
      name: namespace,
      labels: {
        [RUN_LABEL]: run,
        'app.kubernetes.io/managed-by': 'hostport',
        'pod-security.kubernetes.io/enforce': 'privileged',
        'pod-security.kubernetes.io/warn': 'privileged',
        'pod-security.kubernetes.io/audit': 'privileged',
      },
      annotations: { [ENDS_ANNOTATION]: ends },
    },
  };
}

/**
 * What each capability is for; docs/any-cluster.md explains them. The last is added only for probes.
 * - `CHROOT`: the node's files have the names that its runtime gives them.
 * - `DAC_READ_SEARCH`: configurations and caches that only their owner may read.
 * - `NET_ADMIN`, `NET_RAW`: reading rules of nftables and iptables, and connection tracking.
 * - `SYS_PTRACE`: which process has a listening socket.
 * - `SYS_ADMIN`: opening a probe's socket in the network namespace of a pod.
 */
const CAPABILITIES = ['DAC_READ_SEARCH', 'NET_ADMIN', 'NET_RAW', 'SYS_CHROOT', 'SYS_PTRACE'];
const PROBE_CAPABILITIES = ['SYS_ADMIN'];

/** Fields that the published types do not have yet. An API server that does not know them drops them. */
interface NewerFields {
  /** Kubernetes 1.33: mounts below the node's root are read-only, too, where the runtime can do that. */
  recursiveReadOnly?: 'IfPossible';
}

/**
 * The pod that examines a node. It is bound to the node, so that no scheduler is needed, and tolerates everything. It waits for commands, and ends
 * by itself: by its own command, and by the kubelet's deadline. `now`: when it is created, in milliseconds since the epoch.
 */
export function readerPod(node: string, settings: ReaderSettings, now = Date.now()): Pod {
  const capabilities = [...CAPABILITIES, ...(settings.probes ? PROBE_CAPABILITIES : [])];
  return nodePod(podName(node, settings.run), node, settings, { capabilities, writes: [] }, now);
}

/**
 * The pod that changes a node: as {@link readerPod}, with other capabilities, and with places of the node mounted once more, writable, over
 * the root directory that is not.
 */
export function writerPod(
  node: string,
  settings: ReaderSettings,
  writer: WriterSettings,
  now = Date.now(),
): Pod {
  const name = podName(node, settings.run, `heal${writer.number}`);
  return nodePod(name, node, settings, writer, now);
}

function nodePod(
  name: string,
  node: string,
  settings: ReaderSettings,
  { capabilities, writes }: Omit<WriterSettings, 'number'>,
  now: number,
): Pod {
  const { run, namespace, image, imagePullSecrets, sendsProgram, lifetimeSeconds } = settings;
  const mount: { name: string; mountPath: string; readOnly: true } & NewerFields = {
    name: 'host',
    mountPath: HOST_ROOT,
    readOnly: true,
    recursiveReadOnly: 'IfPossible',
  };
  const spec = {
    nodeName: node,
    hostNetwork: true,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    restartPolicy: 'Never',
    activeDeadlineSeconds: lifetimeSeconds,
    terminationGracePeriodSeconds: 1,
    tolerations: [{ operator: 'Exists' }],
    ...(imagePullSecrets.length > 0 && { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      seccompProfile: { type: 'RuntimeDefault' },
      // AppArmor's default profile hides other processes, and SELinux's default type all files of the node.
      appArmorProfile: { type: 'Unconfined' },
      seLinuxOptions: { type: 'spc_t' },
    },
    containers: [
      {
        name: CONTAINER,
        image,
        imagePullPolicy: 'IfNotPresent',
        // A first process gets no signal that it does not handle: both end at once. The own image has no shell.
        command: sendsProgram
          ? ['/bin/sh', '-c', `trap 'exit 0' TERM; sleep ${lifetimeSeconds} & wait $!`]
          : [OWN_PROGRAM, 'node-wait', `${lifetimeSeconds}s`],
        securityContext: {
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'], add: [...capabilities] },
        },
        volumeMounts: [
          mount,
          ...writes.map(({ path }, i) => ({ name: `writes-${i}`, mountPath: `${HOST_ROOT}${path}` })),
          ...(sendsProgram ? [{ name: 'program', mountPath: SENT_PROGRAM.replace(/\/[^/]*$/, '') }] : []),
        ],
      },
    ],
    volumes: [
      { name: 'host', hostPath: { path: '/', type: 'Directory' } },
      ...writes.map(({ path, is }, i) => ({
        name: `writes-${i}`,
        hostPath: { path, type: is === 'file' ? 'FileOrCreate' : 'DirectoryOrCreate' },
      })),
      ...(sendsProgram ? [{ name: 'program', emptyDir: {} }] : []),
    ],
  };
  return {
    metadata: {
      name,
      namespace,
      labels: { [RUN_LABEL]: run, 'app.kubernetes.io/managed-by': 'hostport' },
      annotations: { [ENDS_ANNOTATION]: new Date(now + lifetimeSeconds * 1000).toISOString() },
    },
    spec: spec as NonNullable<Pod['spec']>,
  };
}

/** The name of a node's pod: of the run, of the node as far as it fits, and of a digest, so that no two are the same. */
export function podName(node: string, run: string, purpose = 'doctor'): string {
  const digest = createHash('sha256').update(node).digest('hex').slice(0, 8);
  const readable = node.replaceAll('.', '-').slice(0, 30).replace(/-+$/, '');
  return `${purpose}-${run}-${readable}-${digest}`;
}
