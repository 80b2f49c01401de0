import { parseNetworkConfig } from '../cni/conflist.ts';
import type { NodeView } from './node-view.ts';
import { known } from './observed.ts';

/** A network as the runtime of a node has it loaded, whatever its file says by now. */
export interface LoadedNetwork {
  name: string;
  /** As the runtime tells it. */
  config: string;
  /** Undefined when it tells it in a form that is not compared. */
  plugins: Record<string, unknown>[] | undefined;
}

type Plugin = Record<string, unknown>;

/** The network that a runtime gives to pods: the first that is more than the loopback. Undefined when it does not tell. */
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
 * Whether what the runtime has loaded hands the ports of pods to a portmap that can map them. Then new pods have their mappings, and a file on disk that
 * does not is a trap: the next time that the runtime reads its directory.
 */
export function loadedMapsPorts(node: NodeView): boolean {
  const loaded = loadedNetwork(node);
  const plugins = loaded?.plugins ?? [];
  // First in its chain it has no address to map to.
  return plugins.slice(1).some(mapsPorts) && !isPortmap(plugins[0]!) && speaksItsVersion(node, loaded!);
}

function mapsPorts(plugin: Plugin): boolean {
  const declared = plugin.capabilities as { portMappings?: unknown } | null | undefined;
  return isPortmap(plugin) && declared?.portMappings === true;
}

function isPortmap({ type }: Plugin): boolean {
  return type === 'portmap';
}

/** Whether no plugin of a network is known to refuse the version that it is run in. */
function speaksItsVersion(node: NodeView, { config, plugins }: LoadedNetwork): boolean {
  const version = versionOf(config);
  return (plugins ?? []).every(({ type }) => {
    const versions = known(node.plugin(String(type))?.[0]?.versions);
    return version === undefined || versions === undefined || versions.includes(version);
  });
}

function versionOf(config: string): string | undefined {
  try {
    const { plugins } = JSON.parse(config) as { plugins?: unknown };
    const name = Array.isArray(plugins) ? 'loaded.conflist' : 'loaded.conf';
    return parseNetworkConfig(config, name).cniVersion || '0.1.0';
  } catch {
    // The runtime tells it in a form that is not compared.
    return undefined;
  }
}

function pluginsOf(config: string): Plugin[] | undefined {
  try {
    const document = JSON.parse(config) as Record<string, unknown>;
    return Array.isArray(document.plugins) ? (document.plugins as Record<string, unknown>[]) : [document];
  } catch {
    return undefined;
  }
}
