import type { NodeAction } from './action.ts';
import type { FaultDoor, FaultTarget } from './fault.ts';
import type { PluginFile } from './node-report.ts';
import type { NodeView } from './node-view.ts';

/** Plugins that this program brings along and can put on a node. */
export const BROUGHT_ALONG: readonly string[] = ['portmap', 'loopback'];

/** Where the lab's nodes have their plugins. */
const BIN_DIR = '/opt/cni/bin';
/** Where a fault puts the real portmap meanwhile: on the same file system, not in the directory. */
const ASIDE = '/opt/cni/portmap.aside';

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
  const directory = node.plugin(name)?.[0]?.directory ?? node.seen?.cni.binDirs[0] ?? BIN_DIR;
  return { do: 'install-plugin', name, directory };
}

/** Puts the node's portmap aside; what is in its place afterwards is the fault's business. Twice in a row is fine. */
export async function putPortmapAside(door: FaultDoor, { node }: FaultTarget): Promise<void> {
  if ((await door.list(node, '/opt/cni')).includes('portmap.aside')) return;
  await door.run(node, ['mv', '--', `${BIN_DIR}/portmap`, ASIDE]);
}

/** Gives the node its portmap back. */
export async function bringPortmapBack(door: FaultDoor, { node }: FaultTarget): Promise<void> {
  if (!(await door.list(node, '/opt/cni')).includes('portmap.aside')) return;
  await door.run(node, ['mv', '-f', '--', ASIDE, `${BIN_DIR}/portmap`]);
}

/** Paths for faults that put something else in portmap's place. */
export const portmapPaths = { inPlace: `${BIN_DIR}/portmap`, aside: ASIDE };
