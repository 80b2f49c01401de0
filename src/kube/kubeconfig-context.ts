import { UserError } from '../util/errors.ts';
import type { Kubeconfig, Stanza } from './kubeconfig-files.ts';
import { StanzaFields } from './stanza-fields.ts';

/** A context, and what it joins. */
export interface SelectedContext {
  name: string;
  context: Stanza;
  cluster: { name: string; stanza: Stanza };
  /** Undefined when the context names no user: requests are anonymous. */
  user: { name: string; stanza: Stanza } | undefined;
}

/**
 * The current context, or that of the given name.
 * @throws UserError when it, its cluster or its user is not there.
 */
export function selectContext(config: Kubeconfig, wanted: string = config.currentContext): SelectedContext {
  const fail = (what: string): never => {
    throw new UserError(`cannot use kubeconfig ${config.files.join(':')}: ${what}`);
  };
  const find = (list: ReadonlyMap<string, Stanza>, what: string, name: string): Stanza =>
    list.get(name) ?? fail(`no ${what} named ${JSON.stringify(name)}`);
  if (config.isMissing) fail('no such file');
  if (wanted === '') fail('no current-context is set');
  const context = find(config.contexts, 'context', wanted);
  const fields = new StanzaFields(context, `context ${JSON.stringify(wanted)}`);
  const cluster = fields.text('cluster') ?? fields.fail(' does not name a cluster');
  const user = fields.text('user');
  return {
    name: wanted,
    context,
    cluster: { name: cluster, stanza: find(config.clusters, 'cluster', cluster) },
    user: user === undefined ? undefined : { name: user, stanza: find(config.users, 'user', user) },
  };
}
