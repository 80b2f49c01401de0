import { known } from '../model/observed.ts';
import type { NodeView } from './node-view.ts';

/** A plugin of a chain with the versions that its executable says it speaks. */
export interface PluginVersions {
  type: string;
  path: string;
  versions: readonly string[];
}

/** The plugins of a node's chain that reported their versions; undefined when the chain is not known. */
export function chainVersions(node: NodeView): PluginVersions[] | undefined {
  return node.chain?.flatMap(({ type }) => {
    const file = node.plugin(type)?.[0];
    const versions = known(file?.versions);
    return file === undefined || versions === undefined
      ? []
      : [{ type, path: `${file.directory}/${file.name}`, versions }];
  });
}

/** The CNI version that a node's chain is run in: as its file says, 0.1.0 when it says nothing (libcni). */
export function effectiveVersion(node: NodeView): string | undefined {
  const list = known(node.active?.list);
  return list === undefined ? undefined : list.cniVersion || '0.1.0';
}
