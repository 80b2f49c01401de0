import { KubeConfig } from '@kubernetes/client-node';
import { InputError, messageOf } from '../util/errors.ts';
import type { Verb } from './verb.ts';

/**
 * Commands that look at, or change, a cluster that is there, with the options by which they mean something else than a cluster of the
 * lab. Making and deleting one goes by the name that is typed.
 */
const OF_A_CLUSTER: Readonly<Record<string, readonly string[]>> = {
  doctor: ['from', 'local', 'kubeconfig', 'reports', 'explain'],
  heal: ['watch'],
  break: [],
  unbreak: [],
  answers: [],
};

/**
 * Has a command mean the cluster that kubectl means: the lab's, when the current context is one (`kind-NAME`) and nothing else was said.
 * kubectl hands a plugin its environment, and none of the flags before its name.
 * @throws InputError when the context is no cluster of the lab.
 */
export function meanClusterOfContext(verb: Verb, currentContext: () => string = contextOfKubectl): void {
  const others = OF_A_CLUSTER[verb.name()];
  if (others === undefined || verb.getOptionValueSource('name') !== 'default') return;
  if (others.some((option) => verb.getOptionValue(option) !== undefined)) return;
  const context = currentContext();
  const cluster = /^kind-(.+)$/.exec(context)?.[1];
  if (cluster === undefined) {
    const instead =
      verb.name() === 'doctor'
        ? '; for any other cluster give --reports DIR, with the output of "hostport node-report" of each node'
        : '';
    throw new InputError(
      `${verb.name()}: kubectl's current context ${JSON.stringify(context)} is no cluster of the lab (kind-NAME)${instead}`,
    );
  }
  verb.setOptionValueWithSource('name', cluster, 'env');
}

function contextOfKubectl(): string {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (cause) {
    throw new InputError(`kubeconfig: ${messageOf(cause)}`, { cause });
  }
  return config.getCurrentContext() ?? '';
}
