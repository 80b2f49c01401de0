import type { AgentOfNode, AgentStatus } from '../../agent/status.ts';
import { formatAge } from '../../util/duration.ts';
import { safeText } from '../../util/safe-text.ts';
import { table } from './table.ts';

/** The agents of a cluster for people: a table, and why each that does not run does not. */
export function renderAgents(found: AgentStatus | undefined, now: number): string {
  if (found === undefined) return 'The agent is not installed.\n';
  const rows = found.nodes.map(({ node, is, state }) => [
    node,
    is,
    state?.version,
    state?.mode,
    state?.lookedAt === undefined ? undefined : `${formatAge(now - Date.parse(state.lookedAt))} ago`,
    state?.broken,
    state?.risks,
  ]);
  const shown = table(['NODE', 'AGENT', 'VERSION', 'MODE', 'LAST LOOK', 'BROKEN', 'AT RISK'], rows);
  const reasons = found.nodes.filter(({ why }) => why !== undefined).map(reasonOf);
  return `${shown}${reasons.length === 0 ? '' : `\n${reasons.join('')}`}`;
}

function reasonOf({ node, is, why }: AgentOfNode): string {
  return `${safeText(`${node}: ${is}: ${why}`)}\n`;
}

/** 0: every node has a running agent. 1: some do not, or it is not installed. 2: some could not be asked. */
export function statusOfAgents(found: AgentStatus | undefined): number {
  const nodes = found?.nodes ?? [];
  if (found === undefined || nodes.some(({ is }) => is !== 'running' && is !== 'unknown')) return 1;
  return nodes.some(({ is }) => is === 'unknown') ? 2 : 0;
}
