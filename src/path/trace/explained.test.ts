import { expect, test } from 'bun:test';
import type { Finding } from '../model/finding.ts';
import { type TracedMapping, withCause } from './explained.ts';
import type { Death } from './story.ts';

const death = (code: string): Death => ({ direction: 'answer', message: 'the node itself refuses it', code });
const story = (code: string) => ({ death: death(code), notes: ['n'] });
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const MAPPING: TracedMapping = { node: 'n1', port, pod: 'default/web' };
const finding = (code: string, subject: Finding['subject'], severity: Finding['severity'] = 'broken') =>
  ({ code, severity, subject, message: `${code}!` }) as Finding;
const pod = (name: string) => ({ namespace: 'default', name, uid: `uid-${name}` });

test.each<[string, readonly Finding[], string, string | undefined]>([
  ['of its node', [finding('plugin-missing', { node: 'n1' })], 'plugin-missing', 'plugin-missing!'],
  [
    'of its pod',
    [finding('pod-predates-chain', { node: 'n1', pod: pod('web') })],
    'pod-predates-chain',
    'pod-predates-chain!',
  ],
  [
    'of its port, the first of two',
    [
      finding('mapping-stale', { node: 'n1', pod: pod('web'), port }),
      finding('entry-jump-missing', { node: 'n1' }),
    ],
    'mapping-stale',
    'mapping-stale!',
  ],
  ['of another node', [finding('plugin-missing', { node: 'n2' })], 'mapping-missing', undefined],
  ['of another pod', [finding('mapping-stale', { pod: pod('db') })], 'mapping-missing', undefined],
  [
    'of another port',
    [finding('mapping-stale', { pod: pod('web'), port: { ...port, hostPort: 81 } })],
    'mapping-missing',
    undefined,
  ],
  [
    'of another protocol',
    [finding('mapping-stale', { pod: pod('web'), port: { ...port, protocol: 'UDP' } })],
    'mapping-missing',
    undefined,
  ],
  ['that is a risk', [finding('plugin-vulnerable', { node: 'n1' }, 'risk')], 'mapping-missing', undefined],
  ['of none', [], 'mapping-missing', undefined],
])('a refusal without a rule has the cause %s', (_, findings, code, cause) => {
  expect(withCause(story('mapping-missing'), MAPPING, findings)).toEqual({
    notes: ['n'],
    death: { ...death(code), ...(cause !== undefined && { cause }) },
  });
});

test('a port that no pod asks for is not missing a mapping', () => {
  const { code, ...rest } = death('mapping-missing');
  expect(withCause(story('mapping-missing'), { ...MAPPING, pod: undefined }, [])).toEqual({
    death: rest,
    notes: ['n', 'no pod on n1 asks for hostPort TCP 80'],
  });
});

test('what the packet itself showed stays', () => {
  const shown = story('packet-dropped');
  expect(withCause(shown, MAPPING, [finding('plugin-missing', { node: 'n1' })])).toBe(shown);
  const answered = { notes: [] };
  expect(withCause(answered, MAPPING, [finding('plugin-missing', { node: 'n1' })])).toBe(answered);
});
