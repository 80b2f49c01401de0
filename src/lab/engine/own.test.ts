import { expect, test } from 'bun:test';
import { loadClusterConfig } from '../cluster/config/load.ts';
import { nodeAddress } from '../cluster/network.ts';
import { ownEngine } from './own.ts';

const { config } = await loadClusterConfig(undefined, {});
const node = { ...config.nodes[0]!, address: nodeAddress(0) };

test('a control plane has four daemons, a worker a kubelet', () => {
  const services = (role: 'control-plane' | 'worker') =>
    ownEngine
      .filesOf({ config, node: { ...node, role }, memoryBytes: 0 })
      .map(({ path }) => path.split('/')[3]!);
  expect(services('worker')).toEqual(['kubelet']);
  expect(services('control-plane')).toEqual([
    'kubelet',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
  ]);
});

test('a label for the administrator is not on the command line of the kubelet', () => {
  const labels = { own: '1', 'node-restriction.kubernetes.io/zone': 'z' };
  const [kubelet] = ownEngine.filesOf({ config, node: { ...node, labels }, memoryBytes: 0 });
  expect(kubelet!.content).toContain("'--node-labels=own=1'");
  expect(kubelet!.content).not.toContain('node-re');
  expect(kubelet!.content).not.toContain('node-role.kubernetes.io/control-plane=,');
});
