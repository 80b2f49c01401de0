import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { calledAs } from '../../sys/called-as.ts';
import type { Distribution } from '../../sys/distribution.ts';
import type { Exec } from '../../sys/exec.ts';
import { combinedError, InputError, UserError } from '../../util/errors.ts';
import { loadClusterConfig } from '../cluster/config/load.ts';
import { createCluster } from '../cluster/create.ts';
import { deleteCluster } from '../cluster/delete.ts';
import { NODE_NETWORK } from '../cluster/network.ts';
import { clusterPaths } from '../cluster/paths.ts';
import type { Progress } from '../cluster/progress.ts';
import { type ClusterRecord, listClusters } from '../cluster/record.ts';
import type { Runtime } from '../cluster/runtime.ts';
import type { Engine } from '../engine/engine.ts';
import { currentManifests, exampleWithBackend, prepareExample, TOUR_DIRECTORY } from './example.ts';
import { type Failure, Guide, NotMet, type Stage } from './guide.ts';
import { untilPluginsAreThere } from './plugins-there.ts';
import { type PortmapBackend, tellStory } from './story.ts';

export interface TourOptions {
  /** What the control plane and the kubelets are. */
  engine: Engine;
  /** The containerd of the nodes; the machine's own unless it is given. */
  runtime?: Runtime;
  /** Which portmap plugin the nodes get. */
  portmap: 'ours' | 'reference';
  /** What the plugin writes its rules with; `iptables` leaves the how-to's configuration as it is. */
  backend: PortmapBackend;
  /** Keep the cluster, and what it mounts, at the end of the story. */
  keep: boolean;
}

export interface TourContext {
  exec: Exec;
  distribution: Distribution;
  progress: Progress;
  stage: Stage;
  signal: AbortSignal;
}

/** How many of the how-to's expectations were met, and which was not: the tour ended there. */
export interface TourScore {
  met: number;
  failure?: Failure;
}

/**
 * Replays the how-to on a cluster of its own, named as the how-to's is. Whatever happens on the way, the cluster and what
 * was prepared for it are gone afterwards, unless they are to be kept.
 */
export async function takeTour(options: TourOptions, context: TourContext): Promise<TourScore> {
  const { distribution, progress, stage } = context;
  if (options.portmap === 'reference' && options.backend !== 'iptables') {
    throw new InputError(
      `cannot start the tour: the reference portmap of the node image has no ${options.backend} backend; leave out --portmap or --backend`,
    );
  }
  stage.heading('Create the cluster: one control plane, three workers');
  if ((await listClusters()).includes('kind')) {
    throw new UserError(
      `cannot start the tour: a cluster named "kind" exists, and the how-to needs that name; delete it with "${calledAs()} delete cluster"`,
    );
  }
  await mkdir(TOUR_DIRECTORY, { recursive: true });
  const example =
    options.backend === 'iptables'
      ? distribution.example
      : await exampleWithBackend(distribution.example, options.backend, TOUR_DIRECTORY);
  const clearUp = await prepareExample(example).catch(async (cause) => {
    await rm(TOUR_DIRECTORY, { recursive: true, force: true });
    throw cause;
  });
  // The context is written to the tour's own file, so that the user's kubectl stays as it was.
  const kubeconfig = join(TOUR_DIRECTORY, 'kubeconfig');
  const kubernetes = options.engine.record.kind === 'kubernetes';
  let record: ClusterRecord;
  let manifests = join(distribution.example, 'manifests');
  try {
    const { config } = await loadClusterConfig(join(distribution.example, 'kind/config'), { kubernetes });
    if (kubernetes) manifests = await currentManifests(distribution.example, TOUR_DIRECTORY);
    record = await createCluster({ config, ...options, kubeconfig, retain: false }, context);
  } catch (cause) {
    throw await afterClearingUp(cause, clearUp);
  }
  const removeAll = () =>
    progress.step('Deleting the cluster', async () => {
      await deleteCluster(record.name, context.exec, { chosen: kubeconfig });
    });
  let score: TourScore;
  try {
    score = await tell(record, manifests, options.backend, context);
  } catch (cause) {
    throw options.keep ? cause : await afterClearingUp(cause, removeAll);
  }
  if (options.keep) {
    progress.note(`The cluster stays; its kubeconfig is ${clusterPaths(record.name).innerKubeconfig}`);
  } else await removeAll();
  return score;
}

/** What is to be thrown when clearing up after `cause` is over. */
async function afterClearingUp(cause: unknown, clearUp: () => Promise<void>): Promise<unknown> {
  try {
    await clearUp();
    return cause;
  } catch (left) {
    return combinedError([cause, left]);
  }
}

async function tell(
  record: ClusterRecord,
  manifests: string,
  backend: PortmapBackend,
  context: TourContext,
): Promise<TourScore> {
  const { distribution, exec, signal, stage } = context;
  const workers = record.nodes.filter(({ role }) => role === 'worker').map(({ name }) => name);
  await untilPluginsAreThere(workers, exec, signal);
  const guide = new Guide({
    exec,
    inLab: (argv) => [distribution.program, 'run', '--name', record.name, '--', ...argv],
    stage,
    signal,
  });
  try {
    await tellStory(guide, {
      address: Object.fromEntries(record.nodes.map((node) => [node.name, node.address])),
      gateway: NODE_NETWORK.gateway,
      manifests,
      backend,
    });
  } catch (cause) {
    if (!(cause instanceof NotMet)) throw cause;
    return { met: guide.met, failure: cause.failure };
  }
  return { met: guide.met };
}
