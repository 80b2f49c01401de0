import { expect, test } from 'bun:test';
import { containerdConfig, labelsOf, type PlacedNode } from './node-files.ts';

const node = (role: PlacedNode['role'], labels: Record<string, string>): PlacedNode => ({
  role,
  name: 'n',
  labels,
  schedulable: true,
  extraMounts: [],
  extraPortMappings: [],
  address: '172.17.0.3',
});
const GUARDED = 'node-restriction.kubernetes.io/zone';

type Labels = Record<string, string>;
test.each<{ role: PlacedNode['role']; labels: Labels; kubelet: Labels; administrator: Labels }>([
  { role: 'worker', labels: {}, kubelet: {}, administrator: {} },
  {
    role: 'control-plane',
    labels: { 'ingress-ready': 'true' },
    kubelet: { 'ingress-ready': 'true' },
    administrator: { 'node-role.kubernetes.io/control-plane': '' },
  },
  {
    role: 'worker',
    labels: { [GUARDED]: 'z', 'node.kubernetes.io/pool': 'a', 'example.com/b': 'c', 'k8s.io/d': 'e' },
    kubelet: { 'node.kubernetes.io/pool': 'a', 'example.com/b': 'c' },
    administrator: { [GUARDED]: 'z', 'k8s.io/d': 'e' },
  },
])('a kubelet is not asked to set labels that the API refuses it: $role $labels', (given) => {
  const { role, labels, kubelet, administrator } = given;
  expect(labelsOf(node(role, labels))).toEqual({ kubelet, administrator });
});

test("containerd's configuration is as it is written, or the same with patches", () => {
  const plain = containerdConfig([]);
  expect(plain).toStartWith('version = 2\n');
  expect(Bun.TOML.parse(containerdConfig([{ merge: {} }]))).toEqual(Bun.TOML.parse(plain));
  const cri = 'io.containerd.grpc.v1.cri';
  const patched = Bun.TOML.parse(
    containerdConfig([
      {
        merge: {
          plugins: { [cri]: { max_container_log_line_size: 5, containerd: { snapshotter: 'native' } } },
        },
      },
      {
        merge: {
          plugins: { [cri]: { max_container_log_line_size: 7, disable_apparmor: null } },
          debug: { level: 'debug' },
        },
      },
      { operations: [{ op: 'replace', path: '/debug/level', value: 'trace' }], at: 'patches[0]' },
    ]),
  ) as { debug: unknown; plugins: Record<string, Record<string, unknown>> };
  expect(patched.debug).toEqual({ level: 'trace' });
  expect(patched.plugins[cri]).toMatchObject({
    disable_cgroup: true,
    max_container_log_line_size: 7,
    containerd: { snapshotter: 'native', runtimes: { runc: { runtime_type: 'io.containerd.runc.v2' } } },
  });
  expect(patched.plugins[cri]).not.toHaveProperty('disable_apparmor');
  const misfit = { operations: [{ op: 'remove', path: '/debug' }], at: 'patches[0]' };
  expect(() => containerdConfig([misfit])).toThrow(/^cannot apply patches\[0\]: .*; correct it$/);
});
