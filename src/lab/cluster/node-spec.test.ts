import { expect, test } from 'bun:test';
import { nodeSpec } from './node-spec.ts';
import { clusterPaths } from './paths.ts';

/** The words of PID 1, and the devices, of a node. */
function nodeWith(unifiedCgroups: boolean, machineSysctls: readonly string[]) {
  const { process, linux } = nodeSpec({
    name: 'n',
    cgroup: '/c',
    unifiedCgroups,
    paths: clusterPaths('c').node('n'),
    image: '/i',
    capabilities: [],
    extraMounts: [],
    devices: [{ path: '/dev/kmsg', major: 1, minor: 11, mode: 0o600 }],
    machineSysctls,
  }) as { process: { args: string[] }; linux: { devices: unknown } };
  return { args: process.args, devices: linux.devices };
}

const INIT = ['/usr/bin/tini-static', '--', '/usr/bin/runsvdir', '-P', '/etc/sv'];
const LEAF = 'mkdir /sys/fs/cgroup/init && echo 0 >/sys/fs/cgroup/init/cgroup.procs';
const SHIELD = 'mount --bind /etc/kubernetes/sysctls/vm.panic_on_oom /proc/sys/vm/panic_on_oom';

test.each([
  [false, [], INIT],
  [true, [], ['/bin/sh', '-c', `${LEAF} && exec "$@"`, 'init', ...INIT]],
  [false, ['vm.panic_on_oom'], ['/bin/sh', '-c', `${SHIELD} && exec "$@"`, 'init', ...INIT]],
  [true, ['vm.panic_on_oom'], ['/bin/sh', '-c', `${LEAF} && ${SHIELD} && exec "$@"`, 'init', ...INIT]],
] as [boolean, string[], string[]][])(
  'with one hierarchy of cgroups %p and files for %p',
  (unified, sysctls, args) => {
    expect(nodeWith(unified, sysctls).args).toEqual(args);
  },
);

test('a device belongs to root, with its numbers', () => {
  expect(nodeWith(false, []).devices).toEqual([
    { path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o600, uid: 0, gid: 0 },
  ]);
});
