import type { AgentOfNode, AgentStatus } from '../../agent/status.ts';
import { formatAge } from '../../util/duration.ts';
import { type Layout, WIDE } from './layout.ts';
import { table } from './table.ts';
import { paragraph } from './wrap.ts';

/** The agents of a cluster for people: a table, and why each that does not run does not. */
export function renderAgents(found: AgentStatus | undefined, now: number, layout: Layout = WIDE): string {
  if (found === undefined) return 'The agent is not installed.\n';
  const rows = found.nodes.map(({ node, is, state }) => [
    node,
    { value: is, style: is === 'running' ? 'good' : is === 'unknown' ? 'unknown' : 'bad' } as const,
    state?.version,
    state?.mode,
    ago(state?.checkedAt ?? state?.lookedAt, now),
    ago(state?.lookedAt, now),
    state?.broken,
    state?.risks,
  ]);
  const shown = table(
    ['NODE', 'AGENT', 'VERSION', 'MODE', 'LAST CHECK', 'LAST LOOK', 'BROKEN', 'AT RISK'],
    rows,
    layout,
  );
  const codes = codesOf(found, layout).map((line) => `${line}\n`);
  const reasons = found.nodes.filter(({ why }) => why !== undefined).map((agent) => reasonOf(agent, layout));
  return [[shown], codes, reasons]
    .filter((part) => part.length > 0)
    .map((part) => part.join(''))
    .join('\n');
}

/** What the agents find, of all nodes together: how often each code, and on how many nodes. */
function codesOf({ nodes }: AgentStatus, layout: Layout): string[] {
  const found = nodes.flatMap(({ state }) => Object.entries(state?.codes ?? {}));
  const counts = [...Map.groupBy(found, ([code]) => code)].map(([code, of]) => {
    return { code, nodes: of.length, findings: of.reduce((sum, [, count]) => sum + count, 0) };
  });
  if (counts.length === 0) return [];
  counts.sort((a, b) => b.nodes - a.nodes || b.findings - a.findings || (a.code < b.code ? -1 : 1));
  const rows = counts.map(({ code, nodes: on, findings }) => [code, on, findings]);
  return [table(['CODE', 'NODES', 'FINDINGS'], rows, layout).trimEnd()];
}

function ago(time: string | undefined, now: number): string | undefined {
  return time === undefined ? undefined : `${formatAge(now - Date.parse(time))} ago`;
}

function reasonOf({ node, is, why }: AgentOfNode, layout: Layout): string {
  return paragraph(`${node}: ${is}: ${why}`, layout);
}

/** 0: every node has a running agent. 1: some do not, or it is not installed. 2: some could not be asked. */
export function statusOfAgents(found: AgentStatus | undefined): number {
  const nodes = found?.nodes ?? [];
  if (found === undefined || nodes.some(({ is }) => is !== 'running' && is !== 'unknown')) return 1;
  return nodes.some(({ is }) => is === 'unknown') ? 2 : 0;
}
