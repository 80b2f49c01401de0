import { expect, test } from 'bun:test';
import type { AgentOfNode, AgentStatus } from '../../agent/status.ts';
import { renderAgents, statusOfAgents } from './agents.ts';

const NOW = Date.parse('2026-01-01T00:01:00Z');
const state = {
  version: '1.2.3',
  mode: 'heal',
  lookedAt: '2026-01-01T00:00:15Z',
  checkedAt: '2026-01-01T00:00:48Z',
  broken: 2,
  risks: 0,
} as const;
const of = (...nodes: AgentOfNode[]): AgentStatus => ({ namespace: 'kube-system', image: 'x', nodes });
const running = (node: string): AgentOfNode => ({ node, is: 'running', state: { ...state, node } });

test('a table, and below it why agents do not run', () => {
  const found = of(running('worker'), { node: 'worker2', is: 'missing', why: 'it has no pod\u001b[2J' });
  expect(renderAgents(found, NOW)).toBe(
    [
      'NODE      AGENT     VERSION   MODE     LAST CHECK   LAST LOOK   BROKEN   AT RISK',
      'worker    running   1.2.3     heal     12s ago      45s ago     2        0',
      'worker2   missing   <none>    <none>   <none>       <none>      <none>   <none>',
      '',
      'worker2: missing: it has no pod\\x1b[2J',
      '',
    ].join('\n'),
  );
  expect(renderAgents(of(running('worker')), NOW)).not.toContain('\n\n');
  expect(renderAgents(undefined, NOW)).toBe('The agent is not installed.\n');
});

test('what the agents find, by code', () => {
  const finds = (node: string, codes: Record<string, number>): AgentOfNode => ({
    ...running(node),
    state: { ...state, node, codes },
  });
  const found = of(
    finds('a', { 'mapping-missing': 3, 'plugin-missing': 1 }),
    finds('b', { 'plugin-missing': 1 }),
    running('c'),
    { node: 'd', is: 'missing', why: 'it has no pod' },
  );
  expect(renderAgents(found, NOW).split('\n').slice(5)).toEqual([
    '',
    'CODE              NODES   FINDINGS',
    'plugin-missing    2       2',
    'mapping-missing   1       3',
    '',
    'd: missing: it has no pod',
    '',
  ]);
});

test.each([
  ['not installed', undefined, 1],
  ['on no node', of(), 0],
  ['everywhere', of(running('a'), running('b')), 0],
  ['not everywhere', of(running('a'), { node: 'b', is: 'missing' }), 1],
  ['outdated', of({ node: 'b', is: 'outdated' }), 1],
  ['not asked', of(running('a'), { node: 'b', is: 'unknown' }), 2],
  ['not asked, and missing', of({ node: 'a', is: 'unknown' }, { node: 'b', is: 'failing' }), 1],
] as const)('%s: status %#', (_, found, status) => {
  expect(statusOfAgents(found)).toBe(status);
});
