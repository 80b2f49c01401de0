import { realpath } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { connectRuntime } from '../../cri/client.ts';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { realClock } from '../../sys/clock.ts';
import { realExec } from '../../sys/exec.ts';
import { readIfExists } from '../../sys/files.ts';
import { messageOf, UserError } from '../../util/errors.ts';
import { RELEASE } from '../kubernetes/release.ts';
import { Kubelet } from './kubelet.ts';
import { readMachine } from './node-status.ts';
import { serveKubelet } from './server/server.ts';
import { followManifests } from './static-pods/manifests.ts';
import { realMounts } from './volumes/mounts.ts';

const KUBELET_PORT = 10250;

/** `kubelet`: runs the pods of one node. Flags carry the names of Kubernetes' own; see docs/architecture.md. */
export async function main(argv: string[]): Promise<number> {
  const flags = parseFlags(argv);
  const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
  const client = new ApiClient({
    ...(await loadKubeconfig(flags.kubeconfig)),
    userAgent: `hostport-kubelet/${RELEASE.version}`,
  });
  const runtime = connectRuntime(flags.runtimeEndpoint);
  const kubelet = new Kubelet({
    client,
    runtime,
    clock: realClock,
    mounts: realMounts(realExec),
    identity: { name: flags.nodeName, ip: flags.nodeIp, labels: flags.labels, taints: flags.taints },
    machine: readMachine({
      osRelease: await readIfExists('/etc/os-release'),
      machineId: await readIfExists('/etc/machine-id'),
      bootId: await readIfExists('/proc/sys/kernel/random/boot_id'),
    }),
    directories: {
      // Mount points are compared by path: links in it would hide them.
      root: await realpath(flags.rootDirectory).catch(() => flags.rootDirectory),
      podLogs: '/var/log/pods',
      containerLogs: '/var/log/containers',
    },
    dns: { servers: flags.clusterDns, domain: flags.clusterDomain },
    kubeletPort: KUBELET_PORT,
    cniDirectory: '/etc/cni/net.d',
    log,
  });

  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const running = kubelet.run();
  const server =
    flags.tls === undefined
      ? undefined
      : await serveKubelet(kubelet, { ...flags.tls, port: KUBELET_PORT, log });
  const manifests =
    flags.manifests === undefined
      ? undefined
      : followManifests(flags.manifests, flags.nodeName, realClock, {
          onPods: (pods) => kubelet.setStaticPods(pods),
          log,
          signal: stop.signal,
        });
  manifests?.catch((error) => log(`static pods: ${messageOf(error)}`));
  await new Promise<void>((resolve) =>
    stop.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  await kubelet.stop();
  server?.close();
  await running;
  runtime.close();
  return 0;
}

interface Flags {
  kubeconfig: string;
  nodeName: string;
  nodeIp: string;
  runtimeEndpoint: string;
  rootDirectory: string;
  manifests: string | undefined;
  clusterDns: string[];
  clusterDomain: string;
  labels: Record<string, string>;
  taints: { key: string; value?: string; effect: string }[];
  tls: { certFile: string; keyFile: string; clientCaFile: string } | undefined;
}

/** @throws UserError naming the flag. */
export function parseFlags(argv: string[]): Flags {
  const { values } = parseArgs({
    args: argv,
    options: {
      kubeconfig: { type: 'string' },
      'hostname-override': { type: 'string' },
      'node-ip': { type: 'string' },
      'container-runtime-endpoint': { type: 'string', default: 'unix:///run/containerd/containerd.sock' },
      'pod-manifest-path': { type: 'string' },
      'root-dir': { type: 'string', default: '/var/lib/kubelet' },
      'cluster-dns': { type: 'string' },
      'cluster-domain': { type: 'string', default: 'cluster.local' },
      'tls-cert-file': { type: 'string' },
      'tls-private-key-file': { type: 'string' },
      'client-ca-file': { type: 'string' },
      'node-labels': { type: 'string' },
      'register-with-taints': { type: 'string' },
    },
  });
  const required = (flag: 'kubeconfig' | 'hostname-override' | 'node-ip'): string => {
    const value = values[flag];
    if (value === undefined || value === '') throw new UserError(`kubelet: --${flag} is required`);
    return value;
  };
  const {
    'tls-cert-file': certFile,
    'tls-private-key-file': keyFile,
    'client-ca-file': clientCaFile,
  } = values;
  const given = [certFile, keyFile, clientCaFile].filter((file) => file !== undefined);
  if (given.length !== 0 && given.length !== 3) {
    throw new UserError(
      'kubelet: --tls-cert-file, --tls-private-key-file and --client-ca-file must be given together; the kubelet server needs all three',
    );
  }
  return {
    kubeconfig: required('kubeconfig'),
    nodeName: required('hostname-override'),
    nodeIp: required('node-ip'),
    runtimeEndpoint: values['container-runtime-endpoint'],
    rootDirectory: values['root-dir'],
    manifests: values['pod-manifest-path'],
    clusterDns: list(values['cluster-dns']),
    clusterDomain: values['cluster-domain'],
    labels: Object.fromEntries(
      list(values['node-labels']).map((pair) => {
        const match = /^([^=]+)=(.*)$/.exec(pair);
        if (match === null)
          throw new UserError(`kubelet: --node-labels: ${JSON.stringify(pair)} is not key=value`);
        return [match[1]!, match[2]!];
      }),
    ),
    taints: list(values['register-with-taints']).map((text) => {
      const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text);
      if (match === null) {
        throw new UserError(
          `kubelet: --register-with-taints: ${JSON.stringify(text)} is not key[=value]:effect`,
        );
      }
      return { key: match[1]!, ...(match[2] === undefined ? {} : { value: match[2] }), effect: match[3]! };
    }),
    tls:
      given.length === 0
        ? undefined
        : { certFile: certFile!, keyFile: keyFile!, clientCaFile: clientCaFile! },
  };
}

function list(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((item) => item !== '');
}
