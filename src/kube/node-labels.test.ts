import { expect, test } from 'bun:test';
import { isNodeLabelOfKubelet } from './node-labels.ts';

test.each([
  ['own', true],
  ['example.com/a', true],
  ['notkubernetes.io/a', true],
  ['kubernetes.io', true],
  ['kubernetes.io/hostname', true],
  ['kubernetes.io/os', true],
  ['kubernetes.io/arch', true],
  ['beta.kubernetes.io/os', true],
  ['beta.kubernetes.io/arch', true],
  ['beta.kubernetes.io/instance-type', true],
  ['node.kubernetes.io/instance-type', true],
  ['node.kubernetes.io/anything', true],
  ['a.node.kubernetes.io/anything', true],
  ['kubelet.kubernetes.io/anything', true],
  ['a.kubelet.kubernetes.io/anything', true],
  ['topology.kubernetes.io/zone', true],
  ['topology.kubernetes.io/region', true],
  ['failure-domain.beta.kubernetes.io/zone', true],
  ['failure-domain.beta.kubernetes.io/region', true],
  ['topology.kubernetes.io/rack', false],
  ['kubernetes.io/role', false],
  ['beta.kubernetes.io/role', false],
  ['k8s.io/a', false],
  ['a.k8s.io/a', false],
  ['node-role.kubernetes.io/control-plane', false],
  ['mynode.kubernetes.io/a', false],
  ['node-restriction.kubernetes.io/a', false],
  ['a.node-restriction.kubernetes.io/a', false],
  ['node.kubernetes.io.example.com/a', true],
])('a kubelet may set label %s: %p', (key, may) => {
  expect(isNodeLabelOfKubelet(key)).toBe(may);
});
