import {
  configFileOrder,
  type NetworkConfigList,
  type PluginConfigInList,
  parseNetworkConfig,
} from '../../cni/conflist.ts';
import { messageOf } from '../../util/errors.ts';
import type { NodeReport } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';

/** Plugins that run another configuration's chain: what is behind them in the list is not all there is (Multus, CNI-Genie, DANM). */
export const DELEGATING: ReadonlySet<string> = new Set(['multus', 'multus-shim', 'genie', 'danm']);

/** Those whose configuration is read here. https://github.com/k8snetworkplumbingwg/multus-cni/blob/master/docs/configuration.md */
const MULTUS: ReadonlySet<string> = new Set(['multus', 'multus-shim']);

/** The chain that gives pods their network, where the runtime's list leaves that to another. */
export interface Delegate {
  /** The plugin that calls it. */
  by: PluginConfigInList;
  /** Where it is written, in words: `delegates[0]`, a file. */
  from: string;
  plugins: readonly PluginConfigInList[];
}

/**
 * The chain that the first delegating plugin of a list runs for the pod's own network. Undefined where nothing is delegated; unknown where it is
 * written where the node does not show it.
 */
export function delegateOf(list: NetworkConfigList, report: NodeReport): Observed<Delegate> | undefined {
  const by = list.plugins.find(({ type }) => DELEGATING.has(type));
  if (by === undefined) return undefined;
  if (!MULTUS.has(by.type)) return { unknown: `what ${by.type} delegates to is not read` };
  const { delegates, clusterNetwork } = by.fields;
  // Source: LoadNetConf of multus: the cluster network comes before delegates.
  if (typeof clusterNetwork === 'string' && clusterNetwork !== '') return named(by, clusterNetwork, report);
  if (!Array.isArray(delegates) || delegates.length === 0) {
    return { unknown: `${by.type} says in no file of the node what it delegates to` };
  }
  const [first] = delegates as unknown[];
  return read(by, 'delegates[0]', JSON.stringify(first), isList(first));
}

/** Whether a delegate is written as a list of plugins. Anything may be there: whoever reads it says what is wrong with it. */
function isList(delegate: unknown): boolean {
  return typeof delegate === 'object' && delegate !== null && 'plugins' in delegate;
}

/** A file of the configuration directory by its name, with or without its ending, by the network's name, or by a path, which may be the one in Multus' pod. */
function named(by: PluginConfigInList, name: string, report: NodeReport): Observed<Delegate> {
  const files = known(report.cni.files);
  if (files === undefined) return { unknown: `the files of ${report.cni.confDir} are not known` };
  const last = name.slice(name.lastIndexOf('/') + 1);
  for (const fileName of configFileOrder(files.map((file) => file.name))) {
    const content = files.find((file) => file.name === fileName)!.content;
    if ('unknown' in content) continue;
    const isNamed = fileName === last || fileName.replace(/\.[^.]*$/, '') === last;
    const found = read(by, fileName, content.value, fileName.endsWith('.conflist'));
    if ('unknown' in found) {
      if (isNamed) return found;
      continue;
    }
    const isOwn = found.value.plugins.some(({ type }) => DELEGATING.has(type));
    if (!isOwn && (isNamed || networkName(content.value) === name)) return found;
  }
  return {
    unknown: `clusterNetwork ${JSON.stringify(name)} of ${by.type} is not in ${report.cni.confDir}: it may be an object NetworkAttachmentDefinition, or a file elsewhere`,
  };
}

function read(by: PluginConfigInList, from: string, text: string, isList: boolean): Observed<Delegate> {
  try {
    const { plugins } = parseNetworkConfig(withName(text), isList ? 'delegate.conflist' : 'delegate.conf');
    return { value: { by, from, plugins } };
  } catch (cause) {
    return { unknown: `${from}: ${messageOf(cause)}` };
  }
}

/** A delegate needs no name: Multus gives it its own. */
function withName(text: string): string {
  const document = JSON.parse(text) as { name?: unknown };
  return document !== null && typeof document === 'object' && document.name === undefined
    ? JSON.stringify({ ...document, name: 'delegate' })
    : text;
}

function networkName(text: string): unknown {
  return (JSON.parse(text) as { name?: unknown }).name;
}
