import type { PathVerdict, Unknown } from '../model/finding.ts';
import { type Stage, stages } from '../model/stages.ts';
import { withoutNode } from './causes.ts';

/** What could not be observed for one reason, and the nodes of which that is so; none where it is of no node. */
export interface UnknownGroup extends Pick<Unknown, 'kind' | 'what' | 'why'> {
  nodes: readonly string[];
}

/** What could not be observed, once for all nodes of which it is so for the same reason. */
export function unknownGroups(unknowns: readonly Unknown[]): UnknownGroup[] {
  const groups = Map.groupBy(unknowns, ({ kind, node, what, why }) =>
    JSON.stringify([kind, node === undefined, what, withoutNode(why, node)]),
  );
  return [...groups.values()].map((group) => {
    const [{ kind, what }] = group as [Unknown, ...Unknown[]];
    return { kind, what, why: commonReason(group), nodes: group.flatMap(({ node }) => node ?? []) };
  });
}

/** Why some stages of mappings are unknown, all for one reason. */
export interface UnknownReason {
  /** In their order. */
  stages: readonly Stage[];
  why: string;
  /** The mappings of which just these stages are unknown for this reason. */
  paths: readonly PathVerdict[];
}

/** Why stages are unknown, each reason once for all mappings of which it is the reason at the same stages: that of most mappings first. */
export function unknownReasons(paths: readonly PathVerdict[]): UnknownReason[] {
  const found = paths.flatMap((path) => reasonsOf(path).map((reason) => ({ ...reason, path })));
  const groups = Map.groupBy(found, ({ stages: at, why, path }) =>
    JSON.stringify([at, withoutNode(why, path.node)]),
  );
  return [...groups.values()]
    .map((group) => ({
      stages: group[0]!.stages,
      why: commonReason(group.map(({ why, path }) => ({ why, node: path.node }))),
      paths: group.map(({ path }) => path),
    }))
    .sort((a, b) => b.paths.length - a.paths.length);
}

/** The reasons for which stages of a mapping are unknown, in the order of the first stage of each. */
function reasonsOf({ stages: verdicts }: PathVerdict): { stages: Stage[]; why: string }[] {
  const unknown = stages.flatMap((stage) => {
    const { verdict, reason } = verdicts[stage];
    return verdict === 'unknown' && reason !== undefined ? [{ stage, reason }] : [];
  });
  return [...Map.groupBy(unknown, ({ reason }) => reason)].map(([why, at]) => ({
    stages: at.map(({ stage }) => stage),
    why,
  }));
}

/** The reason that all have in common: as it is where all say the same, else without the names of their nodes. */
function commonReason(all: readonly { why: string; node?: string | undefined }[]): string {
  const [first] = all as [(typeof all)[number], ...typeof all];
  return all.every(({ why }) => why === first.why) ? first.why : withoutNode(first.why, first.node);
}
