import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../../sys/exec.ts';
import { InputError } from '../../../util/errors.ts';
import { loadClusterConfig } from '../../cluster/config/load.ts';
import type { ClusterConfig } from '../../cluster/config/types.ts';
import { nodeAddress } from '../../cluster/network.ts';
import type { NodeFile } from '../../cluster/node-files.ts';
import { kubernetesEngine } from './engine.ts';
import { PROGRAMS, type Release } from './release.ts';

const release: Release = {
  version: 'v1.36.1',
  directory: '/k',
  programs: Object.fromEntries(PROGRAMS.map((name) => [name, `/k/${name}`])) as Release['programs'],
};
const noExec: Exec = { run: () => Promise.reject(new Error('nothing is to be run')) };
const engine = kubernetesEngine(release, noExec);

/** The cluster that a kind configuration with this body describes. */
async function configOf(body: string): Promise<ClusterConfig> {
  const text = `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n${body}`;
  const { config, warnings } = await loadClusterConfig(
    '-',
    { kubernetes: true },
    {
      cwd: '/',
      readFile: () => Promise.reject(new Error('no file is to be read')),
      readStdin: async () => text,
      kindOf: async () => undefined,
      isLink: async () => false,
    },
  );
  expect(warnings).toEqual([]);
  return config;
}

/** What nodes get, by node name. */
async function nodesOf(body: string): Promise<Map<string, NodeFile[]>> {
  const config = await configOf(body);
  return new Map(
    config.nodes.map((node, index) => [
      node.name,
      engine.filesOf({ config, node: { ...node, address: nodeAddress(index) }, memoryBytes: 2 ** 30 }),
    ]),
  );
}

const WORKER = 'nodes: [{role: control-plane}, {role: worker}]\n';
const contentOf = (files: NodeFile[], path: string) => files.find((file) => file.path === path)?.content;
/** The flags of a program on a node; undefined where it does not run. */
const flagsOf = (files: NodeFile[], program: string) =>
  contentOf(files, `/etc/sv/${program}/run`)
    ?.match(/'--[^']*'/g)
    ?.map((word) => word.slice(1, -1));
const jsonOf = (files: NodeFile[], path: string) => JSON.parse(contentOf(files, path)!);
const kubeletOf = (files: NodeFile[]) => jsonOf(files, '/var/lib/kubelet/config.yaml');

test('every program of the release is mounted read-only in the place of the own daemon', () => {
  expect(
    engine.mounts.map(({ hostPath, containerPath, readOnly }) => [hostPath, containerPath, readOnly]),
  ).toEqual(PROGRAMS.map((name) => [`/k/${name}`, `/usr/local/bin/${name}`, true]));
});

test('a control plane has all five daemons, a worker kubelet and kube-proxy', async () => {
  const nodes = await nodesOf(WORKER);
  const running = (name: string) =>
    PROGRAMS.filter((program) => flagsOf(nodes.get(name)!, program) !== undefined);
  expect(running('kind-control-plane')).toEqual([...PROGRAMS]);
  expect(running('kind-worker')).toEqual(['kubelet', 'kube-proxy']);
});

test('with both families its daemons have addresses and subnets of both', async () => {
  const control = (await nodesOf('networking: {ipFamily: dual}\n')).get('kind-control-plane')!;
  expect(flagsOf(control, 'kube-apiserver')).toContain(
    '--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112',
  );
  const manager = flagsOf(control, 'kube-controller-manager');
  expect(manager).toContain('--cluster-cidr=10.244.0.0/16,fd00:10:244::/56');
  expect(manager).toContain('--node-cidr-mask-size-ipv6=64');
  expect(manager!.filter((flag) => flag.startsWith('--node-cidr-mask-size='))).toEqual([]);
  expect(flagsOf(control, 'kubelet')).toContain('--node-ip=172.17.0.2,fd00:172:17::2');
  expect(jsonOf(control, '/var/lib/kube-proxy/config.yaml').clusterCIDR).toBe(
    '10.244.0.0/16,fd00:10:244::/56',
  );
});

test('who asks is authenticated, and may do what its roles say', async () => {
  const control = (await nodesOf(WORKER)).get('kind-control-plane')!;
  const flags = flagsOf(control, 'kube-apiserver');
  expect(flags).toContain('--authorization-mode=Node,RBAC');
  expect(flags).toContain('--enable-admission-plugins=NodeRestriction');
  expect(kubeletOf(control)).toMatchObject({
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true } },
    authorization: { mode: 'Webhook' },
  });
});

test.each(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'])(
  '%s knows its clients by its files, and no certificate speaks for another user',
  async (program) => {
    const [control] = (await nodesOf('')).values();
    const flags = flagsOf(control!, program);
    expect(flags).toContain('--client-ca-file=/etc/kubernetes/pki/ca.crt');
    expect(flags).toContain('--requestheader-allowed-names=front-proxy-client');
  },
);

test('only a control plane beside workers is tainted', async () => {
  const two = await nodesOf(WORKER);
  const taint = [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }];
  expect(kubeletOf(two.get('kind-control-plane')!).registerWithTaints).toEqual(taint);
  expect(kubeletOf(two.get('kind-worker')!).registerWithTaints).toEqual([]);
  expect(kubeletOf((await nodesOf('')).get('kind-control-plane')!).registerWithTaints).toEqual([]);
});

test.each([
  ['', 'iptables'],
  ['networking: {kubeProxyMode: nftables}\n', 'nftables'],
  ['networking: {kubeProxyMode: none}\n', undefined],
])('%j has kube-proxy in mode %p', async (body, mode) => {
  const [files] = (await nodesOf(body)).values();
  expect(flagsOf(files!, 'kube-proxy') !== undefined).toBe(mode !== undefined);
  if (mode !== undefined) expect(jsonOf(files!, '/var/lib/kube-proxy/config.yaml').mode).toBe(mode);
});

test('feature gates reach every program, and the one that a node needs stays', async () => {
  const [files] = (await nodesOf('featureGates: {A: true, B: false}\n')).values();
  for (const program of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    expect(flagsOf(files!, program)).toContain('--feature-gates=A=true,B=false');
  }
  expect(kubeletOf(files!).featureGates).toEqual({ KubeletInUserNamespace: true, A: true, B: false });
  expect(jsonOf(files!, '/var/lib/kube-proxy/config.yaml').featureGates).toEqual({ A: true, B: false });
});

test('runtimeConfig says which APIs are served', async () => {
  const [files] = (await nodesOf('runtimeConfig: {api/alpha: "true", batch/v1: "false"}\n')).values();
  expect(flagsOf(files!, 'kube-apiserver')).toContain('--runtime-config=api/alpha=true,batch/v1=false');
});

test('patches add flags and replace them, those of a node after those of the cluster', async () => {
  const nodes = await nodesOf(`nodes:
- role: control-plane
  kubeadmConfigPatches:
  - "{kind: ClusterConfiguration, scheduler: {extraArgs: {v: '5'}}}"
- role: worker
  kubeadmConfigPatches:
  - "{kind: JoinConfiguration, nodeRegistration: {kubeletExtraArgs: {v: '4'}}}"
  - "{kind: KubeletConfiguration, maxPods: 7}"
- role: worker
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer: {extraArgs: {event-ttl: 5m, secure-port: "7443"}}
  controllerManager:
    extraArgs:
    - {name: node-cidr-mask-size, value: "26"}
  scheduler: {extraArgs: {v: "1"}}
- "{kind: InitConfiguration, nodeRegistration: {kubeletExtraArgs: {v: '2'}}}"
- "{kind: JoinConfiguration, nodeRegistration: {kubeletExtraArgs: {v: '3', node-labels: mine=1}}}"
- "{kind: KubeletConfiguration, maxPods: 20, evictionHard: {memory.available: 5%, nodefs.available: null}}"
- "{kind: KubeProxyConfiguration, iptables: {masqueradeAll: true}, conntrack: {min: null}}"
`);
  const control = nodes.get('kind-control-plane')!;
  expect(flagsOf(control, 'kube-apiserver')).toContain('--event-ttl=5m');
  expect(flagsOf(control, 'kube-apiserver')?.filter((flag) => flag.startsWith('--secure-port'))).toEqual([
    '--secure-port=7443',
  ]);
  expect(flagsOf(control, 'kube-controller-manager')).toContain('--node-cidr-mask-size=26');
  expect(flagsOf(control, 'kube-scheduler')).toContain('--v=5');
  const verbosity = (name: string) =>
    flagsOf(nodes.get(name)!, 'kubelet')?.filter((flag) => flag.startsWith('--v='));
  expect(verbosity('kind-control-plane')).toEqual(['--v=2']);
  expect(verbosity('kind-worker')).toEqual(['--v=4']);
  expect(verbosity('kind-worker2')).toEqual(['--v=3']);
  expect(kubeletOf(nodes.get('kind-worker')!).maxPods).toBe(7);
  expect(kubeletOf(nodes.get('kind-worker2')!)).toMatchObject({
    maxPods: 20,
    evictionHard: { 'memory.available': '5%', 'imagefs.available': '0%' },
  });
  expect(kubeletOf(nodes.get('kind-worker2')!).evictionHard).not.toHaveProperty('nodefs.available');
  const proxy = jsonOf(control, '/var/lib/kube-proxy/config.yaml');
  expect(proxy.iptables).toEqual({ masqueradeAll: true });
  expect(proxy.conntrack).not.toHaveProperty('min');
  expect(proxy.conntrack.maxPerCore).toBe(0);
});

test('JSON patches come after merge patches, those of a node after those of the cluster', async () => {
  const nodes = await nodesOf(`nodes:
- role: control-plane
- role: worker
  kubeadmConfigPatchesJSON6902:
  - {kind: KubeletConfiguration, patch: '[{"op": "replace", "path": "/maxPods", "value": 9}]'}
  - {kind: JoinConfiguration, patch: "[{op: replace, path: /nodeRegistration/kubeletExtraArgs/v, value: '4'}]"}
- role: worker
kubeadmConfigPatchesJSON6902:
- group: kubeadm.k8s.io
  version: v1beta3
  kind: ClusterConfiguration
  patch: |
    - {op: remove, path: /apiServer/extraArgs/event-ttl}
    - {op: add, path: /scheduler/extraArgs/v, value: "5"}
    - {op: add, path: /networking/podSubnet, value: 10.1.0.0/16}
- kind: KubeletConfiguration
  patch: "[{op: add, path: /maxPods, value: 8}, {op: remove, path: /evictionHard/memory.available}]"
- kind: KubeProxyConfiguration
  patch: "[{op: replace, path: /conntrack/min, value: 7}]"
- kind: JoinConfiguration
  patch: "[{op: add, path: /nodeRegistration/kubeletExtraArgs/v, value: '3'}]"
kubeadmConfigPatches:
- "{kind: ClusterConfiguration, apiServer: {extraArgs: {event-ttl: 5m, v: '1'}}}"
- "{kind: KubeletConfiguration, maxPods: 20}"
`);
  const control = nodes.get('kind-control-plane')!;
  expect(flagsOf(control, 'kube-apiserver')).not.toContain('--event-ttl=5m');
  expect(flagsOf(control, 'kube-apiserver')).toContain('--v=1');
  expect(flagsOf(control, 'kube-scheduler')).toContain('--v=5');
  expect(flagsOf(control, 'kube-controller-manager')).toContain('--cluster-cidr=10.1.0.0/16');
  expect(kubeletOf(control).maxPods).toBe(8);
  expect(kubeletOf(control).evictionHard).not.toHaveProperty('memory.available');
  expect(kubeletOf(nodes.get('kind-worker')!).maxPods).toBe(9);
  expect(kubeletOf(nodes.get('kind-worker2')!).maxPods).toBe(8);
  expect(flagsOf(nodes.get('kind-worker')!, 'kubelet')).toContain('--v=4');
  expect(flagsOf(nodes.get('kind-worker2')!, 'kubelet')).toContain('--v=3');
  expect(flagsOf(control, 'kubelet')?.filter((flag) => flag.startsWith('--v='))).toEqual([]);
  expect(jsonOf(control, '/var/lib/kube-proxy/config.yaml').conntrack.min).toBe(7);
});

test.each(['KubeletConfiguration', 'KubeProxyConfiguration'])(
  'a JSON patch that does not fit a %s is refused before anything is created',
  async (kind) => {
    const body = `kubeadmConfigPatchesJSON6902: [{kind: ${kind}, patch: "[{op: remove, path: /nothing}]"}]\n`;
    const check = engine.check!(await configOf(body), undefined);
    await expect(check).rejects.toThrow(InputError);
    await expect(check).rejects.toThrow('cannot apply kubeadmConfigPatchesJSON6902[0].patch: ');
  },
);

test('subnets reach the programs that need them', async () => {
  const [files] = (
    await nodesOf('networking: {podSubnet: 10.1.0.0/16, serviceSubnet: 10.2.0.0/20}\n')
  ).values();
  expect(flagsOf(files!, 'kube-apiserver')).toContain('--service-cluster-ip-range=10.2.0.0/20');
  expect(flagsOf(files!, 'kube-controller-manager')).toContain('--cluster-cidr=10.1.0.0/16');
  expect(jsonOf(files!, '/var/lib/kube-proxy/config.yaml').clusterCIDR).toBe('10.1.0.0/16');
  expect(kubeletOf(files!).clusterDNS).toEqual(['10.2.0.10']);
});

test.each([
  [700, false],
  [767, false],
  [768, true],
])('nodes of %d MiB are refused unless a control plane fits: %p', async (mebibytes, fits) => {
  const check = engine.check!(await configOf(''), mebibytes * 1024 ** 2);
  if (fits) expect(await check).toBeUndefined();
  else {
    await expect(check).rejects.toThrow(
      `cannot create cluster "kind": its nodes are to have ${mebibytes}Mi, which is too little for the control plane of Kubernetes; want at least 768Mi`,
    );
  }
});

describe('flags are checked by the programs themselves', () => {
  /** Runs programs that print something and end with a status. */
  const checkWith = async (body: string, printed: string, code: number) => {
    const ran: string[] = [];
    const exec: Exec = {
      async run(argv) {
        ran.push(argv.join(' '));
        return { code, stdout: '', stderr: printed };
      },
    };
    const outcome = await kubernetesEngine(release, exec).check!(await configOf(body), undefined).catch(
      (error) => error,
    );
    return { ran, outcome };
  };

  test('which are not run where there is nothing to check', async () => {
    expect((await checkWith(WORKER, '', 1)).ran).toEqual([]);
  });

  test('with what the configuration says, each command line once', async () => {
    const { ran, outcome } = await checkWith(
      'featureGates: {A: true}\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\nkubeadmConfigPatches:\n' +
        `- "{kind: ClusterConfiguration, scheduler: {extraArgs: {v: '5'}}}"\n` +
        `- "{kind: JoinConfiguration, nodeRegistration: {kubeletExtraArgs: {v: '4'}}}"\n`,
      'Kubernetes v1.36.1',
      0,
    );
    expect(outcome).toBeUndefined();
    expect(ran).toEqual([
      '/k/kube-apiserver --feature-gates=A=true --version',
      '/k/kube-controller-manager --feature-gates=A=true --version',
      '/k/kube-scheduler --feature-gates=A=true --v=5 --version',
      '/k/kubelet --v=4 --version',
    ]);
  });

  test.each([
    ['Usage:\n  kube-apiserver [flags]\n\nError: unknown flag: --nonsense\n', 'unknown flag: --nonsense'],
    [
      'E1129 16:35:35.871205    3923 run.go:72] "command failed" err="feature gate \\"Foo\\" is unknown"\n',
      'feature gate "Foo" is unknown',
    ],
    ['panic: no\n', 'panic: no'],
  ])('%j is a refusal', async (printed, reason) => {
    const { ran, outcome } = await checkWith('featureGates: {Foo: true}\n', printed, 1);
    expect(outcome).toBeInstanceOf(InputError);
    expect(outcome.message).toBe(
      `cannot create cluster "kind": kube-apiserver v1.36.1 refuses --feature-gates=Foo=true: ${reason}; correct featureGates or kubeadmConfigPatches`,
    );
    expect(ran).toHaveLength(1);
  });
});
