import { type PluginConfigInList, parseNetworkConfig, parsePlugin } from '../../cni/conflist.ts';
import { marshalled, parseDocument, plain } from '../../cni/json.ts';
import { byText } from '../../util/by-text.ts';
import { known } from '../model/observed.ts';
import type { NodeView } from './node-view.ts';

/** A network as the runtime of a node has it loaded, whatever its file says by now. */
export interface LoadedNetwork {
  name: string;
  /** As the runtime reports it. */
  config: string;
  /** Undefined when it is reported in a form that is not compared. */
  plugins: PluginConfigInList[] | undefined;
}

/** The network that a runtime gives to pods: the first that is more than the loopback. Undefined when it does not report any. */
export function loadedNetwork(node: NodeView): LoadedNetwork | undefined {
  return known(known(node.seen?.runtime)?.loadedNetworks)
    ?.map(({ name, config, plugins }) => ({
      name,
      config,
      plugins: plugins === undefined ? pluginsOf(config) : plugins.flatMap((each) => pluginsOf(each) ?? []),
    }))
    .find(({ plugins }) => !plugins?.every(({ type }) => type === 'loopback'));
}

/**
 * Whether what the runtime has loaded hands the ports of pods to a portmap that can map them. Then new pods have their mappings, and a file
 * on disk that does not is a trap: the next time that the runtime reads its directory.
 */
export function loadedMapsPorts(node: NodeView): boolean {
  const loaded = loadedNetwork(node);
  if (loaded?.plugins === undefined) return false;
  const [first, ...others] = loaded.plugins;
  // First in its chain it has no address to map to.
  return (
    others.some(mapsPorts) && !isPortmap(first!) && speak(loaded.plugins, versionOf(loaded.config), node)
  );
}

function mapsPorts(plugin: PluginConfigInList): boolean {
  return isPortmap(plugin) && plugin.capabilities.portMappings === true;
}

function isPortmap({ type }: PluginConfigInList): boolean {
  return type === 'portmap';
}

/** Whether no plugin is known to refuse the version that it is run in. */
function speak(plugins: readonly PluginConfigInList[], version: string | undefined, node: NodeView): boolean {
  return plugins.every(({ type }) => {
    const versions = known(node.plugin(type)?.[0]?.versions);
    return version === undefined || versions === undefined || versions.includes(version);
  });
}

const versionOf = byText((config): string | undefined => {
  try {
    const name =
      listIn(plain(parseDocument(config, 'loaded'))) === undefined ? 'loaded.conf' : 'loaded.conflist';
    return parseNetworkConfig(config, name).cniVersion || '0.1.0';
  } catch {
    // The runtime reports it in a form that is not compared.
    return undefined;
  }
});

const pluginsOf = byText((config): PluginConfigInList[] | undefined => {
  try {
    const document = plain(parseDocument(config, 'loaded'));
    return (listIn(document) ?? [document]).map((entry) => parsePlugin(marshalled(entry), 'loaded'));
  } catch {
    // As in versionOf.
    return undefined;
  }
});

/** The plugins of a list as they are written; undefined for a single configuration. */
function listIn(document: unknown): unknown[] | undefined {
  const { plugins } = (document ?? {}) as { plugins?: unknown };
  return Array.isArray(plugins) ? plugins : undefined;
}
