import { mkdir, readFile, statfs, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ApiClient } from '../../kube/client.ts';
import { kubeconfigDocument } from '../../kube/kubeconfig-document.ts';
import { checkKubeconfig, mergeKubeconfig } from '../../kube/kubeconfig-merge.ts';
import type { Node } from '../../kube/types.ts';
import { calledAs } from '../../sys/called-as.ts';
import { cgroupMode } from '../../sys/cgroups.ts';
import type { Distribution } from '../../sys/distribution.ts';
import { isErrno } from '../../sys/errno.ts';
import type { Exec } from '../../sys/exec.ts';
import { DeadlineError } from '../../sys/wait.ts';
import { makeWritable } from '../../sys/writable.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { combinedError, messageOf, UserError } from '../../util/errors.ts';
import { settleAll, settleFailingFast } from '../../util/settle.ts';
import type { Engine } from '../engine/engine.ts';
import { createManifests } from './apply.ts';
import { boundingCapabilities } from './capabilities.ts';
import { lockCluster } from './cluster-lock.ts';
import type { ClusterConfig } from './config/types.ts';
import { installDefaultCni } from './default-cni.ts';
import { removeCluster } from './delete.ts';
import { createLabNetwork, nodeAddress, plugNode } from './network.ts';
import { limitNodeCgroup, nodeCgroup } from './node-cgroup.ts';
import {
  API_PORT,
  commonNodeFiles,
  containerdConfig,
  controlPlaneFiles,
  type PlacedNode,
} from './node-files.ts';
import { ensureNodeImage } from './node-image.ts';
import { defaultLimits, readMachineSize } from './node-limits.ts';
import { createNodeRoot } from './node-root.ts';
import { nodeSpec, sysctlFile } from './node-spec.ts';
import { clusterPaths, STATE_ROOT } from './paths.ts';
import type { Progress } from './progress.ts';
import {
  apiServerReady,
  hasReported,
  isReady,
  labelNode,
  nodesToBe,
  type StartingCluster,
} from './readiness.ts';
import { type ClusterRecord, writeRecord } from './record.ts';
import { Runc } from './runc.ts';
import { type Runtime, runtimeMounts } from './runtime.ts';
import { type ClusterSecrets, createSecrets } from './secrets.ts';
import { startGateway } from './start-gateway.ts';

export interface CreateOptions {
  config: ClusterConfig;
  /** What the control plane and the kubelets are. */
  engine: Engine;
  /** The containerd of the nodes; the machine's own unless it is given. */
  runtime?: Runtime;
  /** Which portmap plugin the nodes get. */
  portmap: 'ours' | 'reference';
  /**
   * How long to wait for every node to be Ready, in milliseconds; 0 does not wait. Without it the engine's own deadline, except for
   * nodes that get no CNI: those are waited for until they are registered.
   */
  waitMs?: number;
  /** Memory that each node may have; a share of the machine's unless it is given. */
  nodeMemoryBytes?: number;
  /** Leave what is there when creation fails. */
  retain: boolean;
  /** File the cluster's context is merged into. */
  kubeconfig: string;
}

/** What creation needs from outside. */
export interface CreateContext {
  exec: Exec;
  distribution: Distribution;
  progress: Progress;
  signal: AbortSignal;
}

/**
 * Creates a cluster: namespaces, node containers, control plane, CNI. If anything fails, or the signal aborts, everything
 * made so far is removed again unless `retain` is set.
 */
export async function createCluster(options: CreateOptions, context: CreateContext): Promise<ClusterRecord> {
  const { config } = options;
  // A kubeconfig problem would otherwise show only when the cluster is up, and then also prevent its deletion.
  await checkKubeconfig(options.kubeconfig);
  containerdConfig(config.kubernetes?.containerdPatches ?? [], options.runtime);
  await options.engine.check?.(config, options.nodeMemoryBytes);
  await checkState(config.nodes.length);
  const lock = await lockCluster(config.name, 'create', context.signal);
  try {
    await claimName(config.name);
    return await createOrRemove(options, context);
  } finally {
    lock.release();
  }
}

async function createOrRemove(options: CreateOptions, context: CreateContext): Promise<ClusterRecord> {
  const { name } = options.config;
  try {
    return await create(options, context);
  } catch (cause) {
    // A command that Ctrl-C reached first fails with an error of its own, but the signal is what stopped the creation.
    const what = context.signal.aborted ? context.signal.reason : cause;
    if (options.retain) {
      context.progress.note(
        `the incomplete cluster is kept for inspection; delete it with "${calledAs()} delete cluster --name ${name}"`,
      );
      throw what;
    }
    try {
      await context.progress.step('Removing the incomplete cluster', () => removeInSpite(options, context));
    } catch (left) {
      const next = `cannot remove the rest of the cluster; try again with "${calledAs()} delete cluster --name ${name}"`;
      throw combinedError([what, new Error(next, { cause: left })]);
    }
    throw what;
  }
}

/**
 * Removes what was created, even when the user keeps pressing Ctrl-C: the terminal's signal reaches a command that has just
 * started, before it is in a process group of its own.
 */
async function removeInSpite({ config, kubeconfig }: CreateOptions, context: CreateContext): Promise<void> {
  for (let again = 3; ; again--) {
    try {
      return await removeCluster(config.name, context.exec, { chosen: resolve(kubeconfig) });
    } catch (cause) {
      if (again === 0 || !context.signal.aborted) throw cause;
    }
  }
}

/** What the files of a node take at first, in bytes: most of them are hard links into the node image. */
const NODE_BYTES = 16 * 1024 ** 2;

/** Checks that the files of so many nodes have a place, before anything is started. */
async function checkState(nodes: number): Promise<void> {
  await makeWritable(STATE_ROOT, 0o700);
  const { bavail, bsize } = await statfs(STATE_ROOT);
  const [free, needed] = [bavail * bsize, nodes * NODE_BYTES].map((bytes) => Math.floor(bytes / 1024 ** 2));
  if (free! >= needed!) return;
  throw new UserError(
    `cannot create a cluster in ${STATE_ROOT}: its file system has ${free} MiB left, and ${nodes} ${nodes === 1 ? 'node takes' : 'nodes take'} ${needed} MiB; free space there, or mount a larger file system there`,
  );
}

/** Claims the cluster's name by creating its directory. */
async function claimName(name: string): Promise<void> {
  try {
    await mkdir(clusterPaths(name).root, { mode: 0o700 });
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST')) throw cause;
    throw new UserError(
      `cannot create cluster "${name}": it already exists; delete it with "${calledAs()} delete cluster --name ${name}" or choose another --name`,
    );
  }
}

async function create(options: CreateOptions, context: CreateContext): Promise<ClusterRecord> {
  const { config, engine } = options;
  const { exec, distribution, progress, signal } = context;
  const placed: PlacedNode[] = config.nodes.map((node, index) => ({ ...node, address: nodeAddress(index) }));
  const record: ClusterRecord = {
    name: config.name,
    config,
    engine: engine.record,
    ...(options.runtime && {
      containerd: { version: options.runtime.version, directory: options.runtime.directory },
    }),
    nodes: placed.map(({ name, role, address }) => ({ name, role, address })),
    apiServerPort: 0,
    kubeconfig: resolve(options.kubeconfig),
  };
  await writeRecord(record);

  const image = await progress.step('Ensuring node image 🖼', () =>
    ensureNodeImage(exec, distribution, signal, async (claimed) => {
      record.nodeImage = claimed;
      await writeRecord(record);
    }),
  );
  signal.throwIfAborted();
  const control = placed.filter(isControlPlane);
  const workers = placed.filter((node) => !isControlPlane(node));
  const limits = limiter(options, context);
  const [secrets, bringUp] = await progress.step(`Preparing nodes ${boxes(placed.length)}`, async () => {
    const [made] = await settleAll([
      createSecrets(config, placed, engine.users),
      createLabNetwork(exec, config.name, isDual(config)),
    ]);
    const up = (node: PlacedNode) => (stop: AbortSignal) =>
      bringUpNode(node, placed, made, image, limits, options, { ...context, signal: stop });
    // The control plane first and alone: everything else waits for it, and the cores are few.
    await settleFailingFast(signal, [
      ...control.map(up),
      (stop) => startGateway(record, made, distribution, stop),
    ]);
    await writeRecord(record);
    return [made, up] as const;
  });
  signal.throwIfAborted();
  const client = await progress.step('Starting control-plane 🕹️', async () => {
    const inner = kubeconfigDocument(
      secrets.admin(`https://${formatEndpoint({ address: control[0]!.address, port: API_PORT })}`),
    );
    await writeFile(clusterPaths(config.name).innerKubeconfig, inner, { mode: 0o600 });
    const published = { address: config.networking.apiServerAddress, port: record.apiServerPort };
    const outer = secrets.admin(`https://${formatEndpoint(published)}`);
    await mergeKubeconfig(record.kubeconfig, outer);
    const { server, caPem: ca, credentials } = outer;
    const api = new ApiClient({ server, ca, ...credentials, proxy: false, userAgent: 'hostport' });
    await settleFailingFast(signal, [
      (stop) => apiServerReady(api, config.name, control[0]!.name, engine.deadlines.apiServerMs, stop),
      ...workers.map(bringUp),
    ]);
    return api;
  });
  const { nodesMs } = engine.deadlines;
  const starting = { cluster: config.name, client, placed };
  const label = placed.map((node) => (stop: AbortSignal) => labelNode(starting, node, nodesMs, stop));
  if (config.networking.disableDefaultCNI) await withoutCni(starting, label, options, context);
  else {
    await progress.step('Installing CNI 🔌', () =>
      settleFailingFast(signal, [(stop) => installCni(options, placed, client, exec, stop), ...label]),
    );
    const waitMs = options.waitMs ?? nodesMs;
    if (waitMs > 0) await awaitReady(starting, waitMs, context);
  }
  return record;
}

async function awaitReady(
  starting: StartingCluster,
  waitMs: number,
  { progress, signal }: CreateContext,
): Promise<void> {
  await progress.step(`Waiting ≤ ${waitMs / 1000}s for nodes = Ready ⏳`, () =>
    nodesToBe(isReady, 'all nodes to be Ready', starting, waitMs, signal),
  );
}

/**
 * A cluster whose CNI its user installs is up when its nodes are registered. With `--wait` the nodes are waited for, because the
 * user may be installing the CNI meanwhile; at the deadline there is a warning, as with kind: to remove the cluster would remove
 * what is being set up.
 */
async function withoutCni(
  starting: StartingCluster,
  label: readonly ((signal: AbortSignal) => Promise<void>)[],
  { engine, waitMs }: CreateOptions,
  context: CreateContext,
): Promise<void> {
  const { progress, signal } = context;
  let nodes: (Node | undefined)[] = [];
  const register = async (stop: AbortSignal) => {
    const { nodesMs } = engine.deadlines;
    nodes = await nodesToBe(hasReported, 'all nodes to be registered', starting, nodesMs, stop);
  };
  await progress.step('Waiting for nodes to register 📝', () =>
    settleFailingFast(signal, [register, ...label]),
  );
  // A CNI can be mounted into nodes.
  if (nodes.every(isReady)) return;
  if (waitMs !== undefined && waitMs > 0) {
    try {
      await awaitReady(starting, waitMs, context);
      return;
    } catch (cause) {
      if (!(cause instanceof DeadlineError)) throw cause;
      progress.note(`warning: ${messageOf(cause)}`);
    }
  }
  progress.note('Nodes are NotReady until a CNI is installed (networking.disableDefaultCNI is true)');
}

/** The memory of each node, and what sets the limits of one node's cgroup after another. What this machine cannot limit is reported once. */
function limiter({ config, nodeMemoryBytes }: CreateOptions, { progress }: CreateContext) {
  const machine = readMachineSize();
  const limits = defaultLimits(machine, config.nodes.length);
  const reported = new Set<string>();
  const warn = (text: string) => {
    if (!reported.has(text)) progress.note(`warning: ${text}`);
    reported.add(text);
  };
  if (nodeMemoryBytes !== undefined) limits.memoryBytes = Math.min(nodeMemoryBytes, machine.memoryBytes);
  if (limits.memoryBytes === machine.memoryBytes) {
    const all = `${Math.floor(machine.memoryBytes / 1024 ** 2)}Mi`;
    warn(`each node may take all of this machine's memory, ${all}; choose a smaller --node-memory`);
  }
  return {
    memoryBytes: limits.memoryBytes,
    set(cgroup: string) {
      for (const warning of limitNodeCgroup(cgroup, limits)) warn(warning);
    },
  };
}

/** Makes a node's root and container, plugs it into the network and starts it. */
async function bringUpNode(
  node: PlacedNode,
  all: readonly PlacedNode[],
  secrets: ClusterSecrets,
  image: string,
  limits: ReturnType<typeof limiter>,
  options: CreateOptions,
  { exec, signal }: CreateContext,
): Promise<void> {
  const { config, engine, portmap, runtime } = options;
  const cluster = clusterPaths(config.name);
  const paths = cluster.node(node.name);
  const runc = new Runc(exec, cluster.runc);
  const files = commonNodeFiles(config, node, all, secrets.nodes.get(node.name)!, runtime);
  if (isControlPlane(node)) files.push(...controlPlaneFiles(node, secrets.controlPlane));
  files.push(...engine.filesOf({ config, node, memoryBytes: limits.memoryBytes }));
  for (const [name, value] of Object.entries(engine.machineSysctls)) {
    files.push({ path: sysctlFile(name), content: `${value}\n`, mode: 0o444 });
  }
  createNodeRoot(paths, image, files, portmap);
  const cgroup = nodeCgroup(config.name, node.name);
  const spec = nodeSpec({
    name: node.name,
    cgroup,
    cgroups: cgroupMode(),
    paths,
    image,
    capabilities: await boundingCapabilities(),
    // The engine's first: in /usr, where a user's may lie beside them.
    extraMounts: [...engine.mounts, ...runtimeMounts(runtime), ...node.extraMounts],
    machineSysctls: Object.keys(engine.machineSysctls),
    isDual: isDual(config),
  });
  await writeFile(join(paths.bundle, 'config.json'), JSON.stringify(spec));
  signal.throwIfAborted();
  const pid = await runc.create(node.name, paths.bundle, paths.pidFile);
  // Before anything runs in it: a kubelet reads how much there is when it starts.
  limits.set(cgroup);
  await plugNode(exec, config.name, { name: node.name, address: node.address, pid, isDual: isDual(config) });
  await runc.start(node.name);
}

function boxes(count: number): string {
  return '📦 '.repeat(Math.min(count, 8)).trim();
}

function isDual({ networking }: ClusterConfig): boolean {
  return networking.ipv6 !== undefined;
}

function isControlPlane(node: { role: string }): boolean {
  return node.role === 'control-plane';
}

const DEFAULT_CNI_MANIFEST = '/kind/manifests/default-cni.yaml';

async function installCni(
  { config, engine }: CreateOptions,
  placed: readonly PlacedNode[],
  client: ApiClient,
  exec: Exec,
  signal: AbortSignal,
): Promise<void> {
  const control = config.nodes.find(isControlPlane)!;
  const manifest = control.extraMounts.find((extra) => extra.containerPath === DEFAULT_CNI_MANIFEST);
  if (manifest !== undefined) await createManifests(client, await readFile(manifest.hostPath, 'utf8'));
  else
    await installDefaultCni(
      { placed, isDual: isDual(config) },
      client,
      exec,
      engine.deadlines.nodesMs,
      signal,
    );
}
