import { resolve } from 'node:path';
import { Option } from 'commander';
import { stringify } from 'yaml';
import { kubeconfigPathForMerge } from '../../kube/kubeconfig-merge.ts';
import { loadClusterConfig } from '../../lab/cluster/config/load.ts';
import { createCluster } from '../../lab/cluster/create.ts';
import { deleteCluster } from '../../lab/cluster/delete.ts';
import { exportLogs } from '../../lab/cluster/export-logs.ts';
import { loadArchive } from '../../lab/cluster/load.ts';
import { ensureNodeImage } from '../../lab/cluster/node-image.ts';
import { clusterPaths } from '../../lab/cluster/paths.ts';
import { listClusters, readRecord, requireRecord } from '../../lab/cluster/record.ts';
import { CONTAINERD_HELP, chosen, RELEASE_HELP } from '../../lab/engine/choose.ts';
import { describeArchive } from '../../lab/images/archive.ts';
import { calledAs } from '../../sys/called-as.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { realExec } from '../../sys/exec.ts';
import { readIfExists } from '../../sys/files.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { interruptible } from '../interruptible.ts';
import { duration, oneOf, size } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { terminalProgress } from '../printer/progress.ts';
import { command, examples } from '../verb.ts';

const NAME = ['--name <cluster>', 'name of the cluster (default: of the config file, else "kind")'] as const;

/** Commands about clusters, with kind's grammar. */
export function clusterVerbs() {
  return [create(), remove(), get(), exportVerb(), load(), build()];
}

function create() {
  const cluster = command('cluster')
    .description('create a cluster of node containers\n\nThe cluster has a control plane and a CNI chain.')
    .option(...NAME)
    .option('--config <file>', 'kind configuration (v1alpha3 or v1alpha4); "-" reads standard input')
    .option(
      '--wait <duration>',
      'how long to wait for every node to be Ready; 0s does not wait (default: 60s, 180s with --kubernetes, 0s without a CNI)',
      duration,
    )
    .option('--retain', 'keep what was created if creation fails', false)
    .option('--kubeconfig <file>', 'file to merge the context into (default: $KUBECONFIG or ~/.kube/config)')
    .option(
      '--portmap <which>',
      'portmap plugin of the nodes: ours or reference',
      oneOf('ours', 'reference'),
      'ours',
    )
    .option(
      '--node-memory <size>',
      "memory limit of each node with its pods, such as 2Gi (default: a share of the machine's)",
      size('256Mi'),
    )
    .option('--kubernetes <release>', RELEASE_HELP)
    .option('--containerd <release>', CONTAINERD_HELP)
    .action(async (options) => {
      const progress = terminalProgress(process.stderr);
      const { config, warnings } = await loadClusterConfig(options.config, {
        name: options.name,
        kubernetes: options.kubernetes !== undefined,
      });
      const { engine, runtime } = await chosen(options);
      for (const warning of warnings) progress.note(`warning: ${warning}`);
      const kubeconfig = options.kubeconfig ?? (await kubeconfigPathForMerge(process.env));
      // Ctrl-C works from the first line of output on: whoever reads it may press it.
      await interruptible((signal) => {
        const what = engine.record.kind === 'kubernetes' ? ` with Kubernetes ${engine.record.version}` : '';
        progress.note(`Creating cluster "${config.name}"${what} ...`);
        return createCluster(
          {
            config,
            engine,
            ...(runtime && { runtime }),
            kubeconfig,
            portmap: options.portmap,
            nodeMemoryBytes: options.nodeMemory,
            retain: options.retain,
            waitMs: options.wait,
          },
          { exec: realExec, distribution: distributionOf(), progress, signal },
        );
      });
      progress.note(
        [
          `Set kubectl context to "kind-${config.name}"`,
          'You can now use your cluster with:',
          '',
          `kubectl cluster-info --context kind-${config.name}`,
          '',
          'and open a shell on the network of its nodes with:',
          '',
          `${calledAs()} shell${config.name === 'kind' ? '' : ` --name ${config.name}`}`,
        ].join('\n'),
      );
    });
  examples(
    cluster,
    'hostport create cluster --config examples/kind-cilium-portmap/kind/config',
    'hostport create cluster --name small --wait 30s --node-memory 2Gi',
    'hostport create cluster --name real --kubernetes ./kubernetes/server/bin',
  );
  return command('create').description('create a cluster').addCommand(cluster);
}

function remove() {
  const cluster = command('cluster')
    .description(
      'delete a cluster and everything that belongs to it\n\nA cluster that does not exist is not an error.',
    )
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .option('--kubeconfig <file>', 'file to remove the context from (default: where it was merged)')
    .action((options) => deleteNamed([options.name], options.kubeconfig));
  examples(cluster, 'hostport delete cluster', 'hostport delete cluster --name small');
  const clusters = command('clusters')
    .description('delete several clusters')
    .argument('[names...]', 'their names')
    .option('-A, --all', 'all clusters of this machine', false)
    .action(async (names: string[], options) => {
      if (options.all !== (names.length === 0)) {
        throw new InputError(
          `cannot delete clusters: name the clusters, or give --all; "${calledAs()} get clusters" lists them`,
        );
      }
      await deleteNamed(options.all ? await listClusters() : names);
    });
  examples(clusters, 'hostport delete clusters small other', 'hostport delete clusters --all');
  return command('delete').description('delete clusters').addCommand(cluster).addCommand(clusters);
}

async function deleteNamed(names: string[], kubeconfig?: string): Promise<void> {
  const progress = terminalProgress(process.stderr);
  const place =
    kubeconfig === undefined
      ? { fallback: await kubeconfigPathForMerge(process.env) }
      : { chosen: resolve(kubeconfig) };
  for (const name of names) {
    const known = await listClusters();
    const work = () => deleteCluster(name, realExec, place);
    // What a killed command left is removed all the same.
    const wasThere = known.includes(name)
      ? await progress.step(`Deleting cluster "${name}"`, work)
      : await work();
    if (wasThere) continue;
    const others = known.filter((other) => other !== name);
    const there = others.length === 0 ? 'there are none' : `there is ${others.join(', ')}`;
    progress.note(`No cluster "${name}" exists; ${there}.`);
  }
}

function get() {
  const clusters = command('clusters')
    .description('list the clusters of this machine')
    .option('-o, --output <format>', 'json or yaml instead of lines', oneOf('json', 'yaml'))
    .action(async (options) => {
      const names = await listClusters();
      if (options.output !== undefined) print(format(names, options.output));
      else if (names.length === 0) process.stderr.write('No clusters found.\n');
      else print(names.join('\n'));
    });
  examples(clusters, 'hostport get clusters');
  const nodes = command('nodes')
    .description('list the nodes of a cluster')
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .addOption(new Option('-A, --all-clusters', 'nodes of all clusters').default(false).conflicts('name'))
    .option('-o, --output <format>', 'json or yaml instead of lines', oneOf('json', 'yaml'))
    .action(async (options) => {
      const names = options.allClusters ? await listClusters() : [options.name];
      const records = await Promise.all(
        names.map((name) => (options.allClusters ? readRecord(name) : requireRecord(name))),
      );
      const found = records.flatMap((record) => record?.nodes ?? []);
      if (options.output !== undefined) print(format(found, options.output));
      else if (found.length === 0) process.stderr.write('No nodes found.\n');
      else print(found.map((node) => node.name).join('\n'));
    });
  examples(nodes, 'hostport get nodes -o json');
  const kubeconfig = command('kubeconfig')
    .description("print a cluster's kubeconfig")
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .option('--internal', 'use the API server address on the node network, for use inside the lab', false)
    .action(async (options) => {
      const record = await requireRecord(options.name);
      const inner = await readIfExists(clusterPaths(options.name).innerKubeconfig);
      if (inner === undefined) {
        throw new UserError(
          `cannot get the kubeconfig of cluster "${options.name}": it has none yet; delete the cluster and create it again if its creation was interrupted`,
        );
      }
      const published = { address: record.config.networking.apiServerAddress, port: record.apiServerPort };
      const outer = inner.replace(/server: \S+/, `server: https://${formatEndpoint(published)}`);
      print((options.internal ? inner : outer).trimEnd());
    });
  examples(kubeconfig, 'hostport get kubeconfig > lab.kubeconfig');
  return command('get')
    .description('show clusters, nodes or a kubeconfig')
    .addCommand(clusters)
    .addCommand(nodes)
    .addCommand(kubeconfig);
}

function format(value: unknown, output: string): string {
  return (output === 'json' ? JSON.stringify(value, null, 2) : stringify(value)).trimEnd();
}

function exportVerb() {
  const logs = command('logs')
    .description(
      'copy the logs of all nodes into a directory\n\nThe logs of their pods and of the gateway are included.',
    )
    .argument('<dir>', 'directory to write to; created if it does not exist')
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .action(async (directory: string, options) => {
      const record = await requireRecord(options.name);
      const count = await interruptible((signal) => exportLogs(record, directory, realExec, signal));
      process.stderr.write(`Exported ${count} log files of cluster "${options.name}" to:\n`);
      print(directory);
    });
  examples(logs, 'hostport export logs ./logs');
  return command('export').description('export logs from a cluster').addCommand(logs);
}

function load() {
  const archive = command('image-archive')
    .description('load a docker or OCI image archive into the nodes')
    .argument('<file>', 'archive of "docker save", or a tar of an OCI layout; may be gzipped')
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .option('--nodes <names>', 'comma-separated nodes (default: all)')
    .option('-o, --output <format>', 'json instead of lines', oneOf('json'))
    .action(async (file: string, options) => {
      const record = await requireRecord(options.name);
      const description = await describeArchive(file);
      const progress = terminalProgress(process.stderr);
      const chosen = options.nodes === undefined ? undefined : String(options.nodes).split(',');
      const nodes = await interruptible((signal) =>
        loadArchive(record, file, chosen, realExec, progress, signal),
      );
      if (options.output === 'json') {
        const images = description.images.map((image) => ({ ...image, nodes }));
        process.stdout.write(renderJson(images, 2));
      } else for (const image of description.images) print(image.references.join(' '));
    });
  examples(archive, 'hostport load image-archive app.tar');
  return command('load').description('load images into nodes').addCommand(archive);
}

function build() {
  const image = command('node-image')
    .description(
      'prepare the image that nodes are created from\n\n"hostport create cluster" does this when needed.',
    )
    .action(async () => {
      const progress = terminalProgress(process.stderr);
      await interruptible((signal) =>
        progress.step('Building node image', () => ensureNodeImage(realExec, distributionOf(), signal)),
      );
    });
  examples(image, 'hostport build node-image');
  return command('build').description('build the node image').addCommand(image);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
