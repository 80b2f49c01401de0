import type { CgroupMode } from '../../sys/cgroups.ts';
import type { ExtraMount } from './config/types.ts';
import type { NodePaths } from './paths.ts';

interface OciMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

/** What decides how a node container is made. */
export interface NodeSpecInput {
  name: string;
  /** Path in the machine's cgroup hierarchies; see `node-cgroup.ts`. */
  cgroup: string;
  /** How the machine has its cgroups. */
  cgroups: CgroupMode;
  paths: NodePaths;
  /** Directory of the node image (see `node-image.ts`). */
  image: string;
  capabilities: readonly string[];
  extraMounts: readonly ExtraMount[];
  /** Names of settings of the kernel in whose place the node has a file: {@link sysctlFile}. */
  machineSysctls: readonly string[];
  /** Whether it has IPv6 addresses, too. */
  isDual?: boolean;
}

/** The kernel's log: a kubelet watches it for processes that were killed for want of memory, and does not run without. */
const KERNEL_LOG = { path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o600, uid: 0, gid: 0 };

/** Where a node sees the unpacked layers of its preloaded images, which all nodes share. */
export const NODE_LAYERS = '/kind/layers';

/**
 * How often a daemon or plugin of ours runs a function before it is compiled, five times what is usual: most live for seconds, and compiling
 * what ran 500 times costs them more than it gains. Source: JavaScriptCore, OptionsList.h.
 */
const JIT_THRESHOLDS = [
  'BUN_JSC_thresholdForJITAfterWarmUp=2500',
  'BUN_JSC_thresholdForOptimizeAfterWarmUp=5000',
  'BUN_JSC_thresholdForFTLOptimizeAfterWarmUp=500000',
];

/** What a login in a node has, and what its daemons start with. */
export const NODE_ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'TERM=xterm',
  'LANG=C.UTF-8',
  // Without it, and without an /etc/localtime, each daemon compares all of /usr/share/zoneinfo with nothing when it first
  // asks for the time: 11,000 files opened (ICU, putil.cpp: searchForTZFile).
  'TZ=UTC',
  ...JIT_THRESHOLDS,
];

/** A JavaScript process or runsvdir as PID 1 would not reap the shims' orphans; tini does. */
const INIT = ['/usr/bin/tini-static', '--', '/usr/bin/runsvdir', '-P', '/etc/sv'];

/**
 * Begins in a cgroup below the node's own: with processes in it, the node's could not give its children (those of pods) their controllers.
 * Source: cgroups(7), "no internal processes".
 */
const ENTER_LEAF = 'mkdir /sys/fs/cgroup/init && echo 0 >/sys/fs/cgroup/init/cgroup.procs';

/** Where a node has a file in the place of a setting of the kernel. */
export function sysctlFile(name: string): string {
  return `/etc/kubernetes/sysctls/${name}`;
}

/**
 * What is the whole machine's, and that a node may only read, so that nothing in it (a kubelet, an agent that prepares its node) changes the
 * machine: settings of the kernel outside network namespaces, and the switches of its drivers and modules. Names of namespaces of others
 * (`kernel.shmmax`, `fs.mqueue`) are among them; the runtime sets those that a pod asks for before. Source: proc(5), sysfs(5).
 */
export const MACHINE_WIDE = [
  '/proc/irq',
  '/proc/sys/abi',
  '/proc/sys/debug',
  '/proc/sys/dev',
  '/proc/sys/fs',
  '/proc/sys/kernel',
  '/proc/sys/user',
  '/proc/sys/vm',
  '/proc/sysrq-trigger',
  '/sys/block',
  '/sys/kernel',
  '/sys/module',
  '/sys/power',
];

/** What PID 1 of a node is, after what must be done before any daemon runs. */
function initOf({ cgroups, machineSysctls }: NodeSpecInput): readonly string[] {
  const first = [
    // As systemd has it, and runc does not make it: what pods ask to see of later mounts is refused elsewhere, as in containerd 1.6 for
    // /var/run/netns, a link of which it does not follow.
    'mount --make-shared /',
    ...(cgroups === 'unified' ? [ENTER_LEAF] : []),
    // Here and not among the mounts of the specification: runc refuses those in /proc.
    ...machineSysctls.map(
      (name) => `mount --bind ${sysctlFile(name)} /proc/sys/${name.replaceAll('.', '/')}`,
    ),
  ];
  return ['/bin/sh', '-c', [...first, 'exec "$@"'].join(' && '), 'init', ...INIT];
}

/**
 * The OCI runtime specification of a node: what Docker would make of kind's node image with `--privileged`. The root is a
 * directory of its own on disk (containerd's snapshots must not lie on an overlay); the machine's /usr is there through an
 * overlay, so a node can change it without the machine noticing; every mount lives in the node's mount namespace, so the
 * machine's mount table never shows one. Source: OCI runtime-spec 1.0 config.md and config-linux.md.
 */
export function nodeSpec(input: NodeSpecInput): object {
  const capabilities = [...input.capabilities];
  const usr = input.paths.overlay('usr');
  const opt = input.paths.overlay('opt');
  return {
    ociVersion: '1.0.2',
    hostname: input.name,
    root: { path: input.paths.rootfs, readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      cwd: '/',
      args: initOf(input),
      env: NODE_ENVIRONMENT,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: false,
      oomScoreAdj: 0,
    },
    mounts: [
      mount('/proc', 'proc', 'proc', []),
      mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
      mount('/dev/pts', 'devpts', 'devpts', [
        'nosuid',
        'noexec',
        'newinstance',
        'ptmxmode=0666',
        'mode=0620',
        'gid=5',
      ]),
      mount('/dev/shm', 'tmpfs', 'shm', ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']),
      mount('/dev/mqueue', 'mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
      mount('/sys', 'sysfs', 'sysfs', ['nosuid', 'noexec', 'nodev', 'rw']),
      // In the node's cgroup namespace: its own cgroup is the root, below which its runtime makes those of pods.
      mount('/sys/fs/cgroup', 'cgroup', 'cgroup', ['nosuid', 'noexec', 'nodev', 'relatime', 'rw']),
      // With version 1 beside it, where runc and Cilium look for version 2: programs for the kernel are attached to cgroups of it.
      ...(input.cgroups === 'hybrid'
        ? [
            mount('/sys/fs/cgroup/unified', 'cgroup2', 'cgroup2', [
              'nosuid',
              'noexec',
              'nodev',
              'relatime',
              'rw',
            ]),
          ]
        : []),
      // Its own: what an agent pins there is gone with the node. Shared, so that pods that ask for it see what others pin.
      mount('/sys/fs/bpf', 'bpf', 'bpf', ['nosuid', 'noexec', 'nodev', 'relatime', 'mode=700', 'rshared']),
      // Shared, as systemd has it: what the runtime mounts there (network namespaces) is seen by pods that ask for it.
      mount('/run', 'tmpfs', 'tmpfs', ['nosuid', 'nodev', 'mode=755', 'rshared']),
      mount('/tmp', 'tmpfs', 'tmpfs', ['nosuid', 'nodev', 'mode=1777']),
      mount('/usr', 'overlay', 'overlay', [
        `lowerdir=${input.image}/usr:/usr`,
        `upperdir=${usr.upper}`,
        `workdir=${usr.work}`,
      ]),
      mount('/opt', 'overlay', 'overlay', [
        `lowerdir=${input.image}/opt`,
        `upperdir=${opt.upper}`,
        `workdir=${opt.work}`,
      ]),
      mount(NODE_LAYERS, 'bind', `${input.image}/layers`, ['rbind', 'ro']),
      ...input.extraMounts.map(bindOf),
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      cgroupsPath: input.cgroup,
      devices: [KERNEL_LOG],
      resources: { devices: [{ allow: true, access: 'rwm' }] },
      rootfsPropagation: 'shared',
      sysctl: { 'net.ipv4.ip_forward': '1', ...(input.isDual && { 'net.ipv6.conf.all.forwarding': '1' }) },
      maskedPaths: [],
      readonlyPaths: MACHINE_WIDE,
    },
  };
}

const PROPAGATION = { None: 'rprivate', HostToContainer: 'rslave', Bidirectional: 'rshared' } as const;

function bindOf(extra: ExtraMount): OciMount {
  return mount(extra.containerPath, 'bind', extra.hostPath, [
    'rbind',
    extra.readOnly ? 'ro' : 'rw',
    PROPAGATION[extra.propagation],
  ]);
}

function mount(destination: string, type: string, source: string, options: string[]): OciMount {
  return { destination, type, source, options };
}
