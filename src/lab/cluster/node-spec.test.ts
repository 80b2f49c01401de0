import { expect, test } from 'bun:test';
import type { CgroupMode } from '../../sys/cgroups.ts';
import { nodeSpec } from './node-spec.ts';
import { clusterPaths } from './paths.ts';

interface Spec {
  process: { args: string[] };
  mounts: { destination: string; type: string }[];
  linux: { devices: unknown };
}

/** The words of PID 1, the devices, and the kernel's file systems, of a node. */
function nodeWith(cgroups: CgroupMode, machineSysctls: readonly string[]) {
  const { process, linux, mounts } = nodeSpec({
    name: 'n',
    cgroup: '/c',
    cgroups,
    paths: clusterPaths('c').node('n'),
    image: '/i',
    capabilities: [],
    extraMounts: [],
    machineSysctls,
  }) as Spec;
  const kernel = mounts.filter(({ destination }) => destination.startsWith('/sys/fs/'));
  return {
    args: process.args,
    devices: linux.devices,
    kernel: kernel.map(({ destination, type }) => `${type} ${destination}`),
  };
}

const INIT = ['/usr/bin/tini-static', '--', '/usr/bin/runsvdir', '-P', '/etc/sv'];
const SHARED = 'mount --make-shared /';
const LEAF = 'mkdir /sys/fs/cgroup/init && echo 0 >/sys/fs/cgroup/init/cgroup.procs';
const SHIELD = 'mount --bind /etc/kubernetes/sysctls/vm.panic_on_oom /proc/sys/vm/panic_on_oom';

test.each([
  ['hybrid', [], ['/bin/sh', '-c', `${SHARED} && exec "$@"`, 'init', ...INIT]],
  ['unified', [], ['/bin/sh', '-c', `${SHARED} && ${LEAF} && exec "$@"`, 'init', ...INIT]],
  ['legacy', ['vm.panic_on_oom'], ['/bin/sh', '-c', `${SHARED} && ${SHIELD} && exec "$@"`, 'init', ...INIT]],
  [
    'unified',
    ['vm.panic_on_oom'],
    ['/bin/sh', '-c', `${SHARED} && ${LEAF} && ${SHIELD} && exec "$@"`, 'init', ...INIT],
  ],
] as [CgroupMode, string[], string[]][])('with cgroups %p and files for %p', (cgroups, sysctls, args) => {
  expect(nodeWith(cgroups, sysctls).args).toEqual(args);
});

test.each([
  ['legacy', ['cgroup /sys/fs/cgroup', 'bpf /sys/fs/bpf']],
  ['unified', ['cgroup /sys/fs/cgroup', 'bpf /sys/fs/bpf']],
  ['hybrid', ['cgroup /sys/fs/cgroup', 'cgroup2 /sys/fs/cgroup/unified', 'bpf /sys/fs/bpf']],
] as [CgroupMode, string[]][])('with cgroups %p it has of the kernel %p', (cgroups, kernel) => {
  expect(nodeWith(cgroups, []).kernel).toEqual(kernel);
});

test("the kernel's log belongs to root", () => {
  expect(nodeWith('unified', []).devices).toEqual([
    { path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o600, uid: 0, gid: 0 },
  ]);
});
