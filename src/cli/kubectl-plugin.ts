import { currentContext } from '../kube/kubeconfig.ts';
import { InputError, UserError } from '../util/errors.ts';
import type { Verb } from './verb.ts';

/**
 * Commands that read or change an existing cluster, each with the options that make it act on something other than a cluster of the
 * lab. Creating and deleting a cluster uses the name that is typed.
 */
const OF_A_CLUSTER: Readonly<Record<string, readonly string[]>> = {
  doctor: ['from', 'local', 'kubeconfig', 'reports', 'explain'],
  heal: ['watch'],
  break: [],
  unbreak: [],
  answers: [],
};

/**
 * Makes a command act on the cluster of kubectl's current context, when that is a cluster of the lab (`kind-NAME`) and the command line
 * names nothing else. kubectl passes a plugin its environment, but not the flags before the plugin's name.
 * @throws InputError when the context is not a cluster of the lab.
 */
export async function meanClusterOfContext(
  verb: Verb,
  contextOf: () => Promise<string> = currentContext,
): Promise<void> {
  const others = OF_A_CLUSTER[verb.name()];
  if (others === undefined || verb.getOptionValueSource('name') !== 'default') return;
  if (others.some((option) => verb.getOptionValue(option) !== undefined)) return;
  const context = await contextOf().catch((cause) => {
    throw cause instanceof UserError ? new InputError(cause.message, { cause }) : cause;
  });
  const cluster = /^kind-(.+)$/.exec(context)?.[1];
  if (cluster === undefined) {
    const instead =
      verb.name() === 'doctor'
        ? 'for any other cluster give --reports DIR, with the output of "hostport node-report" of each node'
        : 'select a context kind-NAME, or give --name';
    throw new InputError(
      `cannot run ${verb.name()}: kubectl's current context ${JSON.stringify(context)} is not a cluster of the lab (kind-NAME); ${instead}`,
    );
  }
  verb.setOptionValueWithSource('name', cluster, 'env');
}
