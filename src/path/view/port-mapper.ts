import { known } from '../model/observed.ts';
import { answersFromElsewhere } from '../stages/evidence.ts';
import { mappedByPortmap } from './chained-portmap.ts';
import type { NodeView } from './node-view.ts';
import { mappingFor, ownedMappings } from './owned-mappings.ts';
import type { PathView } from './scene.ts';

/**
 * Who maps the ports of a node's pods when its chain has no portmap, in words; undefined when unknown. CRI-O has its own mapper
 * (internal/hostport), and a primary plugin may have one: a port that other machines reach without a mapping of portmap shows that it has. A mapping
 * that portmap added while it was chained keeps working, and says nothing about the next pod.
 */
export function otherMapperOf(node: NodeView, paths: readonly PathView[]): string | undefined {
  if (known(node.seen?.runtime)?.name === 'cri-o') return `CRI-O maps the ports of ${node.name} itself`;
  if (!paths.some((path) => answersFromElsewhere(path) && !isPortmaps(node, path))) return undefined;
  return `ports of ${node.name} answer other machines: ${node.chain?.[0]?.type ?? 'the network plugin'} maps them itself`;
}

/** Whether portmap made a mapping, by the result of its attachment or by its rules. */
function isPortmaps(node: NodeView, { attachment, sandbox }: PathView): boolean {
  if (mappedByPortmap(attachment)) return true;
  const owned = ownedMappings(node);
  return (
    owned !== undefined &&
    sandbox !== undefined &&
    mappingFor(owned, sandbox, attachment?.ifName) !== undefined
  );
}
