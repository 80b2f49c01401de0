import { expect, test } from 'bun:test';
import { resolve } from 'node:path';
import { realExec } from '../../sys/exec.ts';

const MAIN = resolve(import.meta.dir, '../../cli/main.ts');

test.each([
  [['kube-controller-manager'], '--kubeconfig is required'],
  [['kube-controller-manager', '--kubeconfig=x'], '--cluster-cidr "" is not an IPv4 subnet'],
  [
    ['kube-controller-manager', '--kubeconfig=x', '--cluster-cidr=10.0.0.0/33'],
    '--cluster-cidr "10.0.0.0/33" is not an IPv4 subnet',
  ],
  [
    ['kube-controller-manager', '--kubeconfig=x', '--cluster-cidr=10.0.0.0/26'],
    '--node-cidr-mask-size 24 is not between 26 and 30',
  ],
  [['kube-controller-manager', '--kubeconfig=x', '--cluster-cidr=10.0.0.0/8'], '--root-ca-file is required'],
  [
    ['kube-controller-manager', '--kubeconfig=x', '--cluster-cidr=10.0.0.0/8', '--root-ca-file=/none'],
    '--root-ca-file /none: no such file',
  ],
  [['kube-scheduler'], '--kubeconfig is required'],
])('%j: %s', async (argv, message) => {
  const result = await realExec.run([process.execPath, MAIN, ...argv]);
  expect(result.stderr).toContain(message);
  expect(result.code).toBe(2);
});
