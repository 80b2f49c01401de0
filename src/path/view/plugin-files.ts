import type { NodeAction } from '../model/action.ts';
import type { PluginFile } from '../model/node-report.ts';
import type { NodeView } from './node-view.ts';

/** Plugins that this program brings along and can put on a node. */
export const BROUGHT_ALONG: readonly string[] = ['portmap', 'loopback'];

/** Where a runtime looks for plugins unless it is configured otherwise. */
const DEFAULT_BIN_DIR = '/opt/cni/bin';

/** One plugin of a node's chain as the runtime finds it: the first of that name in its directories. */
export interface ChainPlugin {
  node: NodeView;
  type: string;
  /** Undefined when there is none. */
  file: PluginFile | undefined;
}

/** The plugins that the chains of all nodes name; nodes whose plugins or chain are not known are left out. */
export function chainPlugins(nodes: Iterable<NodeView>): ChainPlugin[] {
  return [...nodes].flatMap((node) =>
    [...new Set((node.chain ?? []).map(({ type }) => type))].flatMap((type) => {
      const files = node.plugin(type);
      return files === undefined ? [] : [{ node, type, file: files[0] }];
    }),
  );
}

/** The action that puts one of our plugins where the runtime looks first. */
export function installPlugin(node: NodeView, name: string): NodeAction {
  const directory = node.plugin(name)?.[0]?.directory ?? node.seen?.cni.binDirs[0] ?? DEFAULT_BIN_DIR;
  return { do: 'install-plugin', name, directory };
}
