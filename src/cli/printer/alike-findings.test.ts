import { expect, test } from 'bun:test';
import type { Finding } from '../../path/model/finding.ts';
import { alikeFindings } from './alike-findings.ts';

function finding(node: string, more: Partial<Finding> = {}): Finding {
  return {
    code: 'plugin-missing',
    stage: 'installed',
    severity: 'broken',
    subject: { node },
    message: `portmap is not in /opt/cni/bin of ${node}`,
    args: { plugin: 'portmap', node, nodes: [node], directories: 1 },
    evidence: [{ kind: 'file', where: '/opt/cni/bin', saw: '(empty)' }],
    explanation: 'It is so.',
    remedy: `Put it there, on ${node}.`,
    restart: 'no',
    documentation: 'docs/failures/plugin-missing.md',
    ...more,
  };
}

const pod = { namespace: 'default', name: 'echo', uid: '1' };
const evidence = (saw: string) => ({ evidence: [{ kind: 'file' as const, where: '/opt/cni/bin', saw }] });

test.each<[string, Finding[], string[][]]>([
  ['the same of several nodes', [finding('w'), finding('w2'), finding('w-3')], [['w', 'w2', 'w-3']]],
  [
    'another in between',
    [finding('w'), finding('w2', { remedy: 'Wait.' }), finding('w3')],
    [['w', 'w3'], ['w2']],
  ],
  ['other evidence', [finding('w'), finding('w2', evidence('loopback'))], [['w'], ['w2']]],
  [
    'evidence that names the node',
    [finding('w', evidence('report of w.')), finding('w2', evidence('report of w2.'))],
    [['w', 'w2']],
  ],
  [
    'evidence that names a name that is longer',
    [finding('w', evidence('seen by w2')), finding('w2', evidence('seen by w2'))],
    [['w'], ['w2']],
  ],
  [
    'pods',
    [finding('w', { subject: { node: 'w', pod } }), finding('w', { subject: { node: 'w', pod } })],
    [['w'], ['w']],
  ],
  [
    'one address family',
    [
      finding('w', { subject: { node: 'w', family: 'IPv6' } }),
      finding('w2', { subject: { node: 'w2', family: 'IPv6' } }),
    ],
    [['w', 'w2']],
  ],
  [
    'another address family, or both',
    [
      finding('w'),
      finding('w2', { subject: { node: 'w2', family: 'IPv6' } }),
      finding('w3', { subject: { node: 'w3', family: 'IPv4' } }),
    ],
    [['w'], ['w2'], ['w3']],
  ],
  ['what is on no node', [finding('', { subject: {} })], [[]]],
])('%s', (_, findings, groups) => {
  expect(alikeFindings(findings).map(({ nodes }) => [...nodes])).toEqual(groups);
});

test('what is put together speaks of each; what stands alone is as it was', () => {
  const [both] = alikeFindings([finding('w'), finding('w2')]);
  expect(both?.finding).toMatchObject({
    message: 'portmap is not in /opt/cni/bin of each of them',
    args: { plugin: 'portmap', node: 'each of them', nodes: ['each of them'], directories: 1 },
    remedy: 'Put it there, on each of them.',
  });
  const alone = finding('w');
  expect(alikeFindings([alone])[0]?.finding).toBe(alone);
});
