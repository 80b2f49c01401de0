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
 * Whether what the runtime has loaded hands the ports of pods to portmap. Then new pods have their mappings, and a file that does not chain it so is
 * a trap: the next time that the runtime reads its directory.
 */
export function loadedMapsPorts(node: NodeView): boolean {
  return (loadedNetwork(node)?.plugins ?? []).some(({ type, capabilities }) => {
    const declared = capabilities as { portMappings?: unknown } | null | undefined;
    return type === 'portmap' && declared?.portMappings === true;
  });
}

function pluginsOf(config: string): Record<string, unknown>[] | undefined {
  try {
    const document = JSON.parse(config) as Record<string, unknown>;
    return Array.isArray(document.plugins) ? (document.plugins as Record<string, unknown>[]) : [document];
  } catch {
    return undefined;
  }
}
