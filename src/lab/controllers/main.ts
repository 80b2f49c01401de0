import { parseArgs } from 'node:util';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { aborted, logger, logOnceAMinute } from '../../sys/daemon.ts';
import { readIfExists } from '../../sys/files.ts';
import { parseSubnet } from '../../util/cidr.ts';
import { UserError } from '../../util/errors.ts';
import { startInformers, untilTerminated } from '../daemon.ts';
import { Informers } from '../informers.ts';
import { type Controller, type ControllerContext, controllerContext } from './context.ts';
import { daemonSetController } from './daemon-set/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { endpointsController } from './endpoints/controller.ts';
import { garbageCollector } from './garbage-collector.ts';
import { namespaceController } from './namespaces.ts';
import { nodeIpamController } from './node/ipam.ts';
import { nodeLifecycleController } from './node/lifecycle.ts';
import { podGarbageCollector } from './pod-gc.ts';
import { replicaSetController, replicationControllerController } from './replica-set/controller.ts';
import { serviceAccountController } from './service-accounts.ts';

/**
 * The controllers as one daemon: `kube-controller-manager --kubeconfig FILE --cluster-cidr CIDR
 * [--node-cidr-mask-size 24] --root-ca-file FILE`. Ends with status 0 on SIGTERM, 2 on wrong usage. It elects no leader:
 * there is one in a cluster, started by one supervisor; every write it makes is conditional, so that one that overlaps
 * with its successor for a moment is refused where it is behind.
 */
export async function main(argv: string[]): Promise<number> {
  const log = logger('kube-controller-manager');
  return untilTerminated(log, async (signal) => {
    const options = await readOptions(argv);
    const config = await loadKubeconfig(options.kubeconfig);
    const client = new ApiClient({ ...config, userAgent: 'kube-controller-manager' });
    const informers = new Informers(client, logOnceAMinute(log));
    const controllers = allControllers(controllerContext({ client, informers, log, signal }), options);
    if (await startInformers(client, informers, signal)) {
      log('synced');
      for (const controller of controllers) controller.start();
      await aborted(signal);
    }
    await Promise.all(controllers.map((controller) => controller.flush?.()));
  });
}

export interface ControllerManagerOptions {
  clusterCidr: NonNullable<ReturnType<typeof parseSubnet>>;
  nodeMaskSize: number;
  rootCa: string;
}

/** Every controller there is, wired to the context's informers and not yet started. */
export function allControllers(context: ControllerContext, options: ControllerManagerOptions): Controller[] {
  return [
    replicaSetController(context),
    replicationControllerController(context),
    deploymentController(context),
    daemonSetController(context),
    nodeLifecycleController(context),
    nodeIpamController(context, options.clusterCidr, options.nodeMaskSize),
    podGarbageCollector(context),
    garbageCollector(context),
    namespaceController(context),
    serviceAccountController(context, options.rootCa),
    endpointsController(context),
  ];
}

async function readOptions(argv: string[]): Promise<ControllerManagerOptions & { kubeconfig: string }> {
  const { values } = parseArgs({
    args: argv,
    options: {
      kubeconfig: { type: 'string' },
      'cluster-cidr': { type: 'string' },
      'node-cidr-mask-size': { type: 'string', default: '24' },
      'root-ca-file': { type: 'string' },
    },
  });
  const usage = (message: string) => new UserError(message, { exitCode: 2 });
  const { kubeconfig, 'cluster-cidr': cidr, 'root-ca-file': caFile } = values;
  if (kubeconfig === undefined) throw usage('--kubeconfig is required');
  const clusterCidr = parseSubnet(cidr ?? '');
  if (clusterCidr === undefined)
    throw usage(`--cluster-cidr ${JSON.stringify(cidr ?? '')} is not an IPv4 subnet`);
  const nodeMaskSize = Number(values['node-cidr-mask-size']);
  if (!Number.isInteger(nodeMaskSize) || nodeMaskSize < clusterCidr.prefix || nodeMaskSize > 30) {
    throw usage(
      `--node-cidr-mask-size ${values['node-cidr-mask-size']} is not between ${clusterCidr.prefix} and 30`,
    );
  }
  if (caFile === undefined) throw usage('--root-ca-file is required');
  const rootCa = await readIfExists(caFile);
  if (rootCa === undefined) throw usage(`--root-ca-file ${caFile}: no such file`);
  return { kubeconfig, clusterCidr, nodeMaskSize, rootCa };
}
