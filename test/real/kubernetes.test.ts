/**
 * The lab's own control plane and Kubernetes' own programs, on the machine's containerd and on containerd 2, as `make real` builds them:
 * one suite. `make test-real` runs it.
 */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { builtPart, type Part } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { RUNTIME_PROGRAMS } from '../../src/lab/cluster/runtime.ts';
import { RELEASE } from '../../src/lab/kubernetes/release.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { applyObjects } from '../e2e/catalogue/cluster.ts';
import { eventually } from '../e2e/eventually.ts';
import { Lab, labMissing, type Ran } from '../e2e/lab.ts';
import { acceptance, named, type Subject } from './acceptance.ts';

const kubernetes = await realPart('kubernetes');
const containerd = await Promise.all(RUNTIME_PROGRAMS.map(realPart));

/** Why a subject cannot run: it needs parts that are not built. */
async function missingOf(parts: readonly Part[]): Promise<string | undefined> {
  const noLab = labMissing();
  if (noLab !== undefined) return noLab;
  for (const part of parts) {
    if ((await builtPart(part)) === undefined) return `needs ${part.name} ${part.version} (make real)`;
  }
  return undefined;
}

const ON_KUBERNETES = ['--kubernetes', kubernetes.version];
const ON_CONTAINERD_2 = ['--containerd', containerd[0]!.version];
const own: Subject = {
  title: "the lab's own control plane",
  prefix: 'own',
  words: [],
  missing: await missingOf([]),
  kubeletVersion: RELEASE.version,
  runtimeVersion: /^containerd:\/\/1\./,
};
const real: Subject = {
  title: `Kubernetes ${kubernetes.version}`,
  prefix: 'real',
  words: ON_KUBERNETES,
  missing: await missingOf([kubernetes]),
  kubeletVersion: kubernetes.version,
  runtimeVersion: /^containerd:\/\/1\./,
};
const both: Subject = {
  ...real,
  title: `Kubernetes ${kubernetes.version} on containerd ${containerd[0]!.version}`,
  prefix: 'real2',
  words: [...ON_KUBERNETES, ...ON_CONTAINERD_2],
  missing: await missingOf([kubernetes, ...containerd]),
  runtimeVersion: /^containerd:\/\/2\./,
};

const MACHINE = ['kernel/panic', 'kernel/panic_on_oops', 'vm/overcommit_memory', 'vm/panic_on_oom'];
// What a kubelet would set, and is the whole machine's.
const machine = () => MACHINE.map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8')]);
const before = machine();

for (const subject of [own, real, both]) acceptance(subject);

describe.skipIf(real.missing !== undefined)(named(real, 'fields of kind'), () => {
  /** A cluster with this configuration, for as long as `work` takes. */
  async function withCluster(networking: string, work: (lab: Lab) => Promise<void>): Promise<void> {
    const lab = new Lab('real-fields');
    const config = `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: ${networking}\n`;
    const words = ['--name', lab.name, '--config', lab.file('config', config), ...real.words];
    try {
      const created = await lab.command(['bin/hostport', 'create', 'cluster', ...words], {
        timeoutMs: 240_000,
      });
      expect(created).toMatchObject({ code: 0 });
      await work(lab);
    } finally {
      await lab.delete();
    }
  }

  test('kube-proxy in mode nftables translates Services by nft', async () => {
    await withCluster('{kubeProxyMode: nftables}', async (lab) => {
      const node = 'real-fields-control-plane';
      const ran = await lab.inNode(node, 'curl', '-sk', '--max-time', '20', 'https://10.96.0.1/version');
      expect(JSON.parse(ran.stdout)).toMatchObject({ gitVersion: kubernetes.version });
      const rules = await lab.inNode(node, 'nft', 'list', 'table', 'ip', 'kube-proxy');
      expect(rules.stdout).toContain('10.96.0.1');
    });
  }, 300_000);

  test('with ipFamily dual nodes, pods, Services and hostPorts have addresses of both families', async () => {
    await withCluster('{ipFamily: dual}\nnodes: [{role: control-plane}, {role: worker}]', async (lab) => {
      const node = 'real-fields-worker';
      const labels = { app: 'both' };
      const port = { containerPort: 8080, hostPort: 80 };
      const container = {
        name: 'echo',
        image: 'inanimate/echo-server',
        imagePullPolicy: 'IfNotPresent',
        ports: [port],
      };
      const pod = (name: string, nodeName: string) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default', labels },
        spec: { nodeName, containers: [container] },
      });
      const service = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'both', namespace: 'default' },
        spec: {
          ipFamilyPolicy: 'RequireDualStack',
          selector: labels,
          ports: [{ port: 80, targetPort: 8080 }],
        },
      };
      await applyObjects(lab, [pod('one', node), pod('two', 'real-fields-control-plane'), service]);
      const ready = await lab.kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s'], {
        timeoutMs: 100_000,
      });
      expect(ready).toMatchObject({ code: 0 });
      const get = async (what: string, path: string) =>
        (await lab.kubectl(['get', ...what.split(' '), '-o', `jsonpath={${path}}`])).stdout.split(' ');
      const addresses = await get(`node ${node}`, '.status.addresses[?(@.type=="InternalIP")].address');
      expect(addresses).toEqual(['172.17.0.3', 'fd00:172:17::3']);
      const podIps = await get('pod one', '.status.podIPs[*].ip');
      expect(podIps).toEqual([expect.stringMatching(/^10\.244\./), expect.stringMatching(/^fd00:10:244:/)]);
      const clusterIps = await get('service both', '.spec.clusterIPs[*]');
      expect(clusterIps).toEqual([
        expect.stringMatching(/^10\.96\./),
        expect.stringMatching(/^fd00:10:96::/),
      ]);
      const answers = async (run: (...argv: string[]) => Promise<Ran>, address: string) => {
        const to = address.includes(':') ? `http://[${address}]` : `http://${address}`;
        await eventually(`an answer from ${address}`, async () =>
          (await run('curl', '-sS', '-m', '3', to)).stdout.includes('My hostname is'),
        );
      };
      for (const address of addresses) await answers((...argv) => lab.inLab(...argv), address);
      // From another node to the pod, and by the Service.
      const other = (...argv: string[]) => lab.inNode('real-fields-control-plane', ...argv);
      for (const address of [...addresses, ...clusterIps]) await answers(other, address);
      const found = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
      const { findings, paths } = JSON.parse(found.stdout) as Diagnosis;
      expect(findings).toEqual([]);
      expect(paths.map(({ pod, family }) => `${pod.name} ${family}`).sort()).toEqual([
        'one IPv4',
        'one IPv6',
        'two IPv4',
        'two IPv6',
      ]);
      expect(found.code).toBe(0);
    });
  }, 300_000);

  test('without kube-proxy and without a default CNI there are neither', async () => {
    await withCluster('{kubeProxyMode: none, disableDefaultCNI: true}', async (lab) => {
      const node = 'real-fields-control-plane';
      expect((await lab.inNode(node, 'pgrep', 'kube-proxy')).stdout).toBe('');
      expect((await lab.inNode(node, 'ls', '/etc/cni/net.d')).stdout).toBe('');
      const ready = ['get', 'node', node, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'];
      expect((await lab.kubectl(ready)).stdout).toContain('cni plugin not initialized');
    });
  }, 300_000);
});

test("the machine's settings are as they were", () => expect(machine()).toEqual(before));
