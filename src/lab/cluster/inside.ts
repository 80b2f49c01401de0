import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { calledAs } from '../../sys/called-as.ts';
import type { Distribution } from '../../sys/distribution.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { unshareMounts } from '../../sys/mount-namespace.ts';
import { enterNetns, isWhollyIn, namespaceIdentity } from '../../sys/netns.ts';
import { UserError } from '../../util/errors.ts';
import { clusterPaths, labNetns, netnsPath } from './paths.ts';
import type { ClusterRecord } from './record.ts';

/**
 * Moves this process to where the how-to's author sits: the lab's network namespace, outside the nodes. Every command
 * started afterwards stands there. A machine without a portmap in /opt/cni/bin gets the node image's plugins there, in a
 * mount namespace of this process, because the how-to copies from there.
 */
export async function enterLab(record: ClusterRecord, exec: Exec): Promise<void> {
  const path = netnsPath(labNetns(record.name));
  try {
    enterNetns(path);
  } catch (cause) {
    throw new UserError(
      `cannot enter the network of cluster "${record.name}" (${path}): the cluster may not be running; "${calledAs()} delete cluster --name ${record.name}" removes what is left of it`,
      { cause },
    );
  }
  const overlay = record.nodeImage === undefined ? undefined : pluginOverlay('/opt', record.nodeImage);
  if (overlay === undefined) return;
  unshareMounts();
  await output(exec, ['mount', '--make-rprivate', '/']);
  const options = `ro,lowerdir=${overlay.layers.join(':')}`;
  await output(exec, ['mount', '-t', 'overlay', '-o', options, 'overlay', overlay.target]);
}

/**
 * What to mount, and where, so that `cni/bin/portmap` in this directory of the machine is a plugin; undefined when it is one.
 * Plugins that the machine has stay its own, unless what it has in portmap's place cannot be run.
 */
export function pluginOverlay(
  opt: string,
  nodeImage: string,
): { target: string; layers: [string, ...string[]] } | undefined {
  const bin = join(opt, 'cni/bin');
  const portmap = statSync(join(bin, 'portmap'), { throwIfNoEntry: false });
  if (portmap?.isFile() === true && (portmap.mode & 0o111) !== 0) return undefined;
  const image = join(nodeImage, 'opt');
  if (statSync(bin, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return { target: opt, layers: existsSync(opt) ? [image, opt] : [image] };
  }
  // Where links lead to: the layers are directories, and a link among them would hide what is below it.
  const own = realpathSync(bin);
  const brought = join(image, 'cni/bin');
  const isInTheWay = lstatSync(join(own, 'portmap'), { throwIfNoEntry: false }) !== undefined;
  return { target: own, layers: isInTheWay ? [brought, own] : [own, brought] };
}

/**
 * Whether this whole process runs inside the lab's network namespace: the thread that dials and every other one. A thread that
 * was started before {@link enterLab} is still outside.
 */
export function standsInLab(record: ClusterRecord): boolean {
  const lab = namespaceIdentity(netnsPath(labNetns(record.name)));
  return lab !== undefined && isWhollyIn(lab);
}

/**
 * Throws unless this process runs inside the lab's network namespace. Call it before a packet is sent to a node: outside the
 * namespace, the same address may belong to another machine.
 */
export function assertInLab(record: ClusterRecord): void {
  if (!standsInLab(record)) {
    throw new Error(
      `cannot send packets to nodes: this process is not in the network namespace ${labNetns(record.name)}`,
    );
  }
}

/**
 * The environment of a command in the lab: KUBECONFIG with node-network addresses, our stand-ins first on PATH, then what is in the directory
 * `own`, and no proxy, which the lab's network does not reach.
 */
export function labEnvironment(
  record: ClusterRecord,
  dist: Distribution,
  { own, env = process.env }: { own?: string | undefined; env?: Record<string, string | undefined> } = {},
): Record<string, string | undefined> {
  const path = env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const proxyless = Object.entries(env).filter(([name]) => !/^(?:https?|all)_proxy$/i.test(name));
  return {
    ...Object.fromEntries(proxyless),
    KUBECONFIG: clusterPaths(record.name).innerKubeconfig,
    // The how-to says sudo; a machine that has none gets one that just runs the command.
    PATH: [dist.standIns, ...(own === undefined ? [] : [own]), path, dist.fallbacks].join(':'),
  };
}
