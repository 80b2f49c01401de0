import { resolve } from 'node:path';
import { andMore } from '../util/and-more.ts';
import { UserError } from '../util/errors.ts';
import type { Kubeconfig, Stanza } from './kubeconfig-files.ts';
import type { KubectlFlags } from './kubectl-flags.ts';
import { StanzaFields } from './stanza-fields.ts';

/** A context, and what it joins. */
export interface SelectedContext {
  /** Empty when flags name a server or a cluster without a context. */
  name: string;
  context: Stanza;
  cluster: { name: string; stanza: Stanza };
  /** Undefined when the context names no user: requests are anonymous. */
  user: { name: string; stanza: Stanza } | undefined;
}

/**
 * The current context, or that of the flags; with what the flags say in place of what the files do. Source: client-go's DirectClientConfig.
 * @throws UserError when it, its cluster or its user is not there.
 */
export function selectContext(config: Kubeconfig, flags: KubectlFlags = {}): SelectedContext {
  const file = config.files.join(':');
  const fail = (what: string): never => {
    throw new UserError(`cannot use kubeconfig ${file}: ${what}`);
  };
  const find = (list: ReadonlyMap<string, Stanza>, what: string, name: string): Stanza =>
    list.get(name) ?? fail(`no ${what} named ${JSON.stringify(name)}${alternatives(list)}`);
  const name = flags.context ?? config.currentContext;
  const needsNone = name === '' && (flags.server !== undefined || flags.cluster !== undefined);
  if (config.isMissing && !(needsNone && flags.cluster === undefined)) fail('no such file');
  if (name === '' && !needsNone) fail(`no current-context is set${alternatives(config.contexts)}`);
  const context = needsNone ? { file, fields: {} } : find(config.contexts, 'context', name);
  const fields = new StanzaFields(context, `context ${JSON.stringify(name)}`);
  const clusterName = flags.cluster ?? fields.text('cluster') ?? '';
  if (clusterName === '' && !needsNone) fields.fail(' does not name a cluster');
  const cluster = clusterName === '' ? { file, fields: {} } : find(config.clusters, 'cluster', clusterName);
  const userName = flags.user ?? fields.text('user');
  const user = userName === undefined ? { file, fields: {} } : find(config.users, 'user', userName);
  const overrides = userFields(flags);
  return {
    name,
    context,
    cluster: { name: clusterName, stanza: withFields(cluster, clusterFields(flags)) },
    user:
      userName === undefined && Object.keys(overrides).length === 0
        ? undefined
        : { name: userName ?? '', stanza: withFields(user, overrides) },
  };
}

/** How many names are suggested. */
const MAX_NAMES = 10;

/** The names that there are, for whoever mistyped one. */
function alternatives(list: ReadonlyMap<string, Stanza>): string {
  const names = [...list.keys()].map((name) => JSON.stringify(name));
  if (names.length === 0) return '';
  return `; there is ${andMore(names, MAX_NAMES)}`;
}

/** The same stanza with other values; one that is undefined is as if it were not there. */
function withFields({ file, fields }: Stanza, values: Readonly<Record<string, unknown>>): Stanza {
  return { file, fields: { ...fields, ...values } };
}

/**
 * What flags say of a cluster. A server that is named has the TLS name that is named with it or its own; an authority replaces the file's, and
 * its absence with `--insecure-skip-tls-verify` is meant. Source: client-go's DirectClientConfig.getCluster.
 */
function clusterFields(flags: KubectlFlags): Record<string, unknown> {
  const { server, tlsServerName, certificateAuthority, insecureSkipTlsVerify } = flags;
  return {
    ...(server !== undefined && { server }),
    ...((server !== undefined || tlsServerName !== undefined) && { 'tls-server-name': tlsServerName }),
    ...((certificateAuthority !== undefined || insecureSkipTlsVerify === true) && {
      // Meant beside where the command runs, not beside the kubeconfig.
      'certificate-authority': certificateAuthority && resolve(certificateAuthority),
      'certificate-authority-data': undefined,
      'insecure-skip-tls-verify': insecureSkipTlsVerify,
    }),
  };
}

/** What flags say of who is asked to be treated as whom. */
export function userFields({ as, asUid, asGroup }: KubectlFlags): Record<string, unknown> {
  return {
    ...(as !== undefined && { as }),
    ...(asUid !== undefined && { 'as-uid': asUid }),
    ...(asGroup !== undefined && asGroup.length > 0 && { 'as-groups': asGroup }),
  };
}
