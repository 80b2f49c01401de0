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
export function echoPod(namespace: string, nodeName: string, hostPort = 80): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: ECHO, namespace, labels: { run: 'echo' } },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 1,
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

/** Name of a lane's own pod. */
export const ECHO = 'echo';

/**
 * Creates the cluster, with further words of the command line, and puts the configuration on every worker. Returns the workers' names, in
 * kind's order.
 */
export async function createCatalogueCluster(
  lab: Lab,
  workers: number,
  words: readonly string[] = ['--wait', '60s'],
): Promise<string[]> {
  const config = lab.file('kind.yaml', kindConfig(workers));
  await lab.must('create', 'cluster', '--name', lab.name, '--config', config, ...words);
  const nodes = Array.from({ length: workers }, (_, i) => `${lab.name}-worker${i === 0 ? '' : i + 1}`);
  const conflist = lab.file('conflist', `${JSON.stringify(CONFLIST, null, 2)}\n`);
  await Promise.all(nodes.map((node) => lab.must('cp', conflist, `${node}:${CONFLIST_PATH}`)));
  return nodes;
}

/** Applies objects with kubectl. */
export async function applyObjects(lab: Lab, objects: readonly Record<string, unknown>[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const applied = await lab.kubectl(['apply', '-f', '-'], { stdin: list });
  if (applied.code !== 0) throw new Error(`kubectl apply: ${applied.stderr}`);
}
