import { join } from 'node:path';
import { EXAMPLE, type Lab } from '../lab.ts';

/** The configuration in use on every worker, as a plain file: one that is mounted, as the how-to's is, cannot be renamed. */
export const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'cilium-portmap',
  plugins: [{ type: 'cilium-cni' }, { type: 'portmap', capabilities: { portMappings: true } }],
};

export const CONFLIST_PATH = '/etc/cni/net.d/000-cilium-portmap.conflist';

/** A control plane and three workers with the how-to's network. */
export function kindConfig(workers: number): string {
  const mount = [
    '  extraMounts:',
    '  - containerPath: /kind/manifests/default-cni.yaml',
    `    hostPath: ${join(EXAMPLE, 'kind/cni/cilium.yaml')}`,
    '    readOnly: true',
  ];
  return [
    'kind: Cluster',
    'apiVersion: kind.x-k8s.io/v1alpha4',
    'nodes:',
    '- role: control-plane',
    ...mount,
    ...Array.from({ length: workers }, () => '- role: worker'),
    'networking:',
    '  podSubnet: 192.168.0.0/16',
    '',
  ].join('\n');
}

/** An echo pod that names its node itself, with one hostPort. */
export function echoPod(name: string, nodeName: string, hostPort = 80): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { run: 'echo' } },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'echo',
          image: 'inanimate/echo-server',
          imagePullPolicy: 'IfNotPresent',
          ports: [{ containerPort: 8080, hostPort, protocol: 'TCP' }],
        },
      ],
    },
  };
}

/** Names of the cluster's workers, in kind's order. */
export function workerNames(cluster: string, workers: number): string[] {
  return Array.from({ length: workers }, (_, i) => `${cluster}-worker${i === 0 ? '' : i + 1}`);
}

/** Creates the cluster, puts the configuration on every worker, and runs one echo pod on each. */
export async function createCatalogueCluster(lab: Lab, workers: number): Promise<string[]> {
  const config = lab.file('kind.yaml', kindConfig(workers));
  await lab.must('create', 'cluster', '--name', lab.name, '--config', config, '--wait', '60s');
  const nodes = workerNames(lab.name, workers);
  const conflist = lab.file('conflist', `${JSON.stringify(CONFLIST, null, 2)}\n`);
  await Promise.all(nodes.map((node) => lab.must('cp', conflist, `${node}:${CONFLIST_PATH}`)));
  const pods = nodes.map((node) => echoPod(`echo-${node}`, node));
  const list = lab.file('pods.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods }));
  const applied = await lab.kubectl(['apply', '-f', list]);
  if (applied.code !== 0) throw new Error(`kubectl apply: ${applied.stderr}`);
  const waited = await lab.kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s']);
  if (waited.code !== 0) throw new Error(`kubectl wait: ${waited.stderr}`);
  return nodes;
}
