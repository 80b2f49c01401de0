import { inOrder } from '../path/diagnose/order.ts';
import type { Diagnosis } from '../path/model/finding.ts';
import { hasEnded, hostPortsOf } from '../path/model/host-ports.ts';
import type { World } from '../path/model/world.ts';
import { catalogue } from '../path/stages/index.ts';
import { unknownName } from '../util/unknown-name.ts';
import { chosenPods, type PodChoice } from './pod-choice.ts';

/** What of a diagnosis is wanted; an empty list is no choice. */
export interface Choice {
  /** Codes of failures. */
  codes: readonly string[];
  nodes: readonly string[];
  /** All when absent. */
  pods?: PodChoice;
}

/**
 * The nodes that a choice is about: those that were named and, where pods were chosen, of these only nodes that hold a chosen pod with a hostPort.
 * Undefined when it is about all.
 * @throws InputError for a node or a pod that the cluster does not have.
 */
export function nodesOfChoice(
  { nodes, pods }: Choice,
  world: Pick<World, 'nodes' | 'pods'> & Partial<Pick<World, 'reports'>>,
): ReadonlySet<string> | undefined {
  const known = [
    ...new Set([
      ...world.nodes.flatMap(({ metadata }) => metadata?.name ?? []),
      ...(world.reports?.keys() ?? []),
    ]),
  ];
  checkChosenNodes(nodes, known);
  if (pods === undefined) return nodes.length === 0 ? undefined : new Set(nodes);
  const holders = chosenPods(pods, world.pods)
    .filter((pod) => !hasEnded(pod) && hostPortsOf(pod).length > 0)
    .flatMap(({ spec }) => spec?.nodeName || []);
  return new Set(holders.filter((node) => nodes.length === 0 || nodes.includes(node)));
}

/**
 * The part of a diagnosis that was chosen. By nodes: their mappings, findings and unknowns, and what is unknown of no node. By pods: their mappings,
 * the findings about them, and those about a whole node that holds one. By codes: their findings, the mappings that these are behind, and those
 * of which it is unknown whether they are.
 */
export function chosen(
  diagnosis: Diagnosis,
  choice: Choice,
  world: Pick<World, 'nodes' | 'pods' | 'reports'>,
): Diagnosis {
  const { codes, pods } = choice;
  const nodes = nodesOfChoice(choice, world);
  const isOfNode = (node: string | undefined) =>
    nodes === undefined || (node !== undefined && nodes.has(node));
  const wanted = pods && new Set(chosenPods(pods, world.pods).map(({ metadata }) => podKey(metadata ?? {})));
  const isOfPods = (pod: { namespace: string; name: string } | undefined) =>
    wanted === undefined || pod === undefined || wanted.has(podKey(pod));
  // A pod that has no node yet is on none of those that were named.
  const isOf = (node: string | undefined, pod: { namespace: string; name: string } | undefined) =>
    isOfPods(pod) &&
    (isOfNode(node) || (node === undefined && pod !== undefined && choice.nodes.length === 0));
  if (codes.length === 0 && nodes === undefined && wanted === undefined) return diagnosis;
  const stages = catalogue.filter(({ code }) => codes.includes(code)).map(({ stage }) => stage);
  return inOrder({
    ...diagnosis,
    paths: diagnosis.paths.filter(
      (path) =>
        isOf(path.node, path.pod) &&
        (codes.length === 0 ||
          stages.some((stage) => path.stages[stage].verdict === 'unknown') ||
          Object.values(path.stages).some((verdict) => verdict.codes.some((code) => codes.includes(code)))),
    ),
    findings: diagnosis.findings.filter(
      ({ code, subject }) => isOf(subject.node, subject.pod) && (codes.length === 0 || codes.includes(code)),
    ),
    unknowns: diagnosis.unknowns.filter(({ node }) => node === undefined || isOfNode(node)),
  });
}

function podKey({
  namespace = '',
  name = '',
}: {
  namespace?: string | undefined;
  name?: string | undefined;
}): string {
  return `${namespace}/${name}`;
}

/** @throws InputError for a node that the cluster does not have: "no problems found" would read as good news. */
export function checkChosenNodes(wanted: readonly string[], known: readonly string[]): void {
  const missing = wanted.find((node) => !known.includes(node));
  if (missing !== undefined)
    throw unknownName({ attempt: 'examine the node', name: missing, where: 'in the cluster', known });
}
