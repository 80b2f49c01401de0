import { expect, test } from 'bun:test';
import { commonNodeFiles, labelsOf, type PlacedNode } from './node-files.ts';

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

test('a label for the administrator is not on the command line of the kubelet', () => {
  const secrets = {
    ca: '',
    kubeletConf: '',
    kubeletCert: '',
    kubeletKey: '',
    registryCa: '',
    registryClientCert: '',
    registryClientKey: '',
  };
  const config = {
    name: 'c',
    nodes: [],
    networking: { serviceSubnet: '10.96.0.0/16', podSubnet: '10.244.0.0/16' },
  } as never;
  const placed = node('control-plane', { own: '1', [GUARDED]: 'z' });
  const files = commonNodeFiles(config, placed, [placed], secrets);
  const kubelet = files.find(({ path }) => path === '/etc/sv/kubelet/run')!.content;
  expect(kubelet).toContain('--node-labels=own=1');
  expect(kubelet).not.toContain('node-re');
  expect(kubelet).not.toContain('node-role.kubernetes.io/control-plane=,');
});
