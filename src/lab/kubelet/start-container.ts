import { chmod, mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CriImage, Mount, SandboxConfig } from '../../cri/messages.ts';
import type { Container, Pod } from '../../kube/types.ts';
import { ignoring } from '../../sys/errno.ts';
import { readIfExists } from '../../sys/files.ts';
import { containerConfig } from './container-config.ts';
import { containerEnv } from './env.ts';
import { nodeHostsFile, podHostsFile } from './hosts-file.ts';
import { isHostNetwork, podDirectory, podLogDirectory } from './names.ts';
import type { PodContext } from './pod-context.ts';
import { registryAuths } from './registry-auth.ts';
import { podHostname } from './sandbox-config.ts';
import { subPath } from './volumes/volumes.ts';

/** Where the runs of a container leave their termination message on the node. */
export function terminationMessageFile(
  context: Pick<PodContext, 'directories'>,
  uid: string,
  container: string,
  attempt: number,
): string {
  return join(podDirectory(context.directories, uid), 'containers', container, String(attempt));
}

/** Brings the image of a container onto the node. @throws ImageProblem */
export async function ensureImage(
  context: PodContext,
  pod: Pod,
  container: Container,
  signal: AbortSignal,
): Promise<CriImage> {
  const image = container.image ?? '';
  const auths = async () => {
    const names = (pod.spec?.imagePullSecrets ?? []).map(({ name }) => name!);
    const found = await Promise.all(
      names.map((name) => context.objects.secret(pod.metadata!.namespace!, name)),
    );
    return registryAuths(
      found.filter((secret) => secret !== undefined),
      image,
    );
  };
  return await context.images.ensure(
    pod.metadata!.uid!,
    image,
    container.imagePullPolicy,
    auths,
    (type, reason, message) => context.say(pod, type, reason, message, container.name),
    signal,
  );
}

/**
 * Creates one run of a container in its sandbox and returns its ID; starting it is the caller's.
 * @throws ConfigError when what the container refers to is not there.
 */
export async function createContainer(
  context: PodContext,
  input: {
    pod: Pod;
    container: Container;
    attempt: number;
    restartCount: number;
    image: CriImage;
    sandboxId: string;
    sandboxConfig: SandboxConfig;
    podIps: readonly string[];
    /** Volume name to path on the node. */
    volumes: ReadonlyMap<string, string>;
    resolvConf: string;
  },
): Promise<string> {
  const { pod, container, sandboxConfig, podIps } = input;
  const namespace = pod.metadata!.namespace!;
  const env = await containerEnv(
    pod,
    container,
    {
      configMap: (name) => context.objects.configMap(namespace, name),
      secret: (name) => context.objects.secret(namespace, name),
      services: await context.services(pod),
      podIps,
      hostIp: context.nodeIp,
      nodeName: context.nodeName,
      allocatable: context.allocatable,
    },
    (message) => context.say(pod, 'Warning', 'InvalidEnvironmentVariableNames', message, container.name),
  );
  const mounts = await containerMounts(context, input, (name) => env.get(name));
  const config = containerConfig({ ...input, env, mounts });
  await mkdir(dirname(join(podLogDirectory(context.directories, pod), config.logPath!)), { recursive: true });
  return await context.runtime.createContainer(input.sandboxId, config, sandboxConfig);
}

/** Links the log of a container to where log collectors look: `<pod>_<namespace>_<container>-<id>.log`. */
export async function linkLog(
  context: PodContext,
  pod: Pod,
  container: string,
  attempt: number,
  id: string,
): Promise<void> {
  const { containerLogs } = context.directories;
  await mkdir(containerLogs, { recursive: true });
  const target = join(podLogDirectory(context.directories, pod), container, `${attempt}.log`);
  await symlink(target, join(containerLogs, logLinkName(pod.metadata!, container, id))).catch(
    ignoring('EEXIST'),
  );
}

/** Removes the link of {@link linkLog}. */
export async function unlinkLog(
  context: PodContext,
  pod: { name?: string; namespace?: string },
  container: string,
  id: string,
): Promise<void> {
  const path = join(context.directories.containerLogs, logLinkName(pod, container, id));
  await unlink(path).catch(ignoring('ENOENT'));
}

function logLinkName(pod: { name?: string; namespace?: string }, container: string, id: string): string {
  return `${pod.name}_${pod.namespace}_${container}-${id}.log`;
}

async function containerMounts(
  context: PodContext,
  input: {
    pod: Pod;
    container: Container;
    attempt: number;
    podIps: readonly string[];
    volumes: ReadonlyMap<string, string>;
    resolvConf: string;
  },
  lookup: (name: string) => string | undefined,
): Promise<Mount[]> {
  const { pod, container, attempt, volumes } = input;
  const mounts: Mount[] = [];
  for (const wanted of container.volumeMounts ?? []) {
    const path = volumes.get(wanted.name);
    if (path === undefined)
      throw new Error(`volume ${wanted.name} of container ${container.name} is not there`);
    const { subPathExpr } = wanted;
    const below =
      subPathExpr === undefined || subPathExpr === ''
        ? wanted.subPath
        : subPathExpr.replace(/\$\(([^)]*)\)/g, (_whole, name: string) => lookup(name) ?? '');
    mounts.push({
      containerPath: wanted.mountPath,
      hostPath: below === undefined || below === '' ? path : await subPath(path, below),
      readonly: wanted.readOnly,
      propagation: PROPAGATION[wanted.mountPropagation ?? 'None'],
    });
  }
  const directory = podDirectory(context.directories, pod.metadata!.uid!);
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const has = (path: string) => mounts.some(({ containerPath }) => containerPath === path);
  if (!has('/etc/hosts')) {
    const hosts = join(directory, 'etc-hosts');
    await writeFile(hosts, await hostsFile(input.pod, input.podIps));
    mounts.push({ containerPath: '/etc/hosts', hostPath: hosts });
  }
  if (!has('/etc/resolv.conf')) {
    // containerd would write one from the sandbox's DNS configuration too, but with the search list first.
    const resolv = join(directory, 'resolv.conf');
    await writeFile(resolv, input.resolvConf);
    mounts.push({ containerPath: '/etc/resolv.conf', hostPath: resolv });
  }
  const messages = terminationMessageFile(context, pod.metadata!.uid!, container.name, attempt);
  await mkdir(dirname(messages), { recursive: true, mode: 0o750 });
  await writeFile(messages, '');
  // Whoever the container runs as may write it.
  await chmod(messages, 0o666);
  mounts.push({
    containerPath: container.terminationMessagePath ?? '/dev/termination-log',
    hostPath: messages,
  });
  return mounts;
}

const PROPAGATION: Record<string, NonNullable<Mount['propagation']>> = {
  None: 'private',
  HostToContainer: 'host-to-container',
  Bidirectional: 'bidirectional',
};

async function hostsFile(pod: Pod, podIps: readonly string[]): Promise<string> {
  if (isHostNetwork(pod)) return nodeHostsFile(pod, (await readIfExists('/etc/hosts')) ?? '');
  return podHostsFile(pod, podIps, podHostname(pod));
}
