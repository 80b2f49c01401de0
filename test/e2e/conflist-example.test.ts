/** examples/conflist: hostPorts in a cluster of kind by one file on each node, mounted or written by a DaemonSet. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { shellLine } from '../../src/util/shell-line.ts';
import { applyObjects, echoPod } from './catalogue/cluster.ts';
import { EXAMPLE as CILIUM_EXAMPLE, Lab, labMissing, PROGRAM, ROOT } from './lab.ts';

const missing = labMissing();
const EXAMPLE = join(ROOT, 'examples/conflist');
const NAME = '000-cilium-portmap.conflist';
const VERSIONED = /^busybox:\d+\.\d+\.\d+$/;
const text = (name: string) => readFileSync(join(EXAMPLE, name), 'utf8');

test('both ways put the same file on the nodes', () => {
  const [map, daemonSet] = parseAllDocuments(text('daemonset.yaml')).map((document) => document.toJS());
  expect(JSON.parse(map.data[NAME])).toEqual(JSON.parse(text(NAME)));
  expect(daemonSet.kind).toBe('DaemonSet');
  for (const { extraMounts } of parse(text('kind.yaml')).nodes) {
    expect(extraMounts).toEqual([
      { hostPath: NAME, containerPath: `/etc/cni/net.d/${NAME}`, readOnly: true },
    ]);
  }
});

test('the DaemonSet has one image of a fixed version, and no right or resource that it does not need', () => {
  const [, { spec }] = parseAllDocuments(text('daemonset.yaml')).map((document) => document.toJS());
  const { initContainers, containers, securityContext } = spec.template.spec;
  expect(securityContext.seccompProfile.type).toBe('RuntimeDefault');
  for (const { image, securityContext, resources } of [...initContainers, ...containers]) {
    expect(image).toMatch(VERSIONED);
    expect(securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(Object.keys(resources.limits)).toEqual(['cpu', 'memory']);
  }
  expect(containers[0].securityContext.runAsNonRoot).toBe(true);
});

describe.skipIf(missing !== undefined)(`in the lab${missing ? ` (${missing})` : ''}`, () => {
  describe.each([
    ['mounted', 'conflist-mounted'],
    ['by the DaemonSet', 'conflist-set'],
  ] as const)('%s', (way, name) => {
    const lab = new Lab(name);
    const worker = `${name}-worker`;
    beforeAll(async () => {
      // The lab's substitute for Cilium in the place of Cilium, which kind's user installs.
      const config = parse(text('kind.yaml'));
      if (way !== 'mounted') for (const node of config.nodes) node.extraMounts = [];
      config.networking = { podSubnet: '192.168.0.0/16' };
      config.nodes[0].extraMounts.push({
        hostPath: join(CILIUM_EXAMPLE, 'kind/cni/cilium.yaml'),
        containerPath: '/kind/manifests/default-cni.yaml',
      });
      const words = shellLine([PROGRAM, 'create', 'cluster', '--name', name, '--config', '-']);
      const stdin = JSON.stringify(config);
      const ran = await lab.command(['sh', '-c', `cd ${EXAMPLE} && exec ${words}`], { stdin });
      if (ran.code !== 0) throw new Error(ran.stderr);
    });
    afterAll(() => lab.delete());

    test('the hostPort of a pod that is created then answers', async () => {
      if (way !== 'mounted') {
        expect((await lab.inNode(worker, 'ls', '/etc/cni/net.d')).stdout).not.toContain(NAME);
        // The lab's registry has one busybox, without a version.
        const manifest = text('daemonset.yaml').replace(/image: busybox:\S+/g, 'image: busybox');
        const applied = await lab.kubectl(['apply', '-f', '-'], { stdin: manifest });
        expect(`${applied.code}\n${applied.stderr}`).toStartWith('0\n');
        const set = 'daemonset/portmap-conflist';
        await lab.mustKubectl('rollout', 'status', set, '--namespace', 'kube-system', '--timeout=60s');
        // Once more: nothing is different.
        await lab.mustKubectl('rollout', 'restart', set, '--namespace', 'kube-system');
        await lab.mustKubectl('rollout', 'status', set, '--namespace', 'kube-system', '--timeout=60s');
      }
      expect(JSON.parse((await lab.inNode(worker, 'cat', `/etc/cni/net.d/${NAME}`)).stdout)).toEqual(
        JSON.parse(text(NAME)),
      );
      await applyObjects(lab, [echoPod('default', worker)]);
      await lab.mustKubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=60s');
      const answered = await lab.hostport('answers', '--name', name, '--settle', '60s');
      expect(`${answered.code}\n${answered.stdout}${answered.stderr}`).toStartWith('0\n');
      const { code, stdout } = await lab.hostport('doctor', '--name', name);
      expect(`${code}\n${stdout}`).toStartWith('0\n');
    });

    // A file that is mounted is there as long as the cluster.
    if (way === 'mounted') return;
    test('the commands of the README remove the DaemonSet and its file', async () => {
      const [, commands] = /^## Remove it\n[^`]*```\n([^`]*)^```$/m.exec(text('README.md'))!;
      lab.env.SHELL = '/bin/sh';
      // The cluster of the test is not called kind.
      const own = commands!.replace('kind get nodes', `kind get nodes --name ${name}`);
      const stdin = `set -e\ncd ${EXAMPLE}\n${own}`;
      const { code, stderr } = await lab.command([PROGRAM, 'shell', '--name', name], { stdin });
      expect(`${code}\n${stderr}`).toStartWith('0\n');
      expect((await lab.inNode(worker, 'ls', '/etc/cni/net.d')).stdout).not.toContain(NAME);
      const sets = await lab.mustKubectl('get', 'daemonsets', '--all-namespaces');
      expect(sets).not.toContain('portmap-conflist');
    });
  });
});
