import { expect, test } from 'bun:test';
import type { ProbeResult } from '../model/probe.ts';
import { mapped } from '../testing/mapped-node.ts';
import { AWAY, answered, failed, probeEvidence, probesFrom } from './probe-facts.ts';

const { path } = mapped({
  probes: {
    outside: {},
    'other-node': { outcome: 'refused', detail: 'ECONNREFUSED', from: 'n2' },
    node: { outcome: 'timeout', detail: 'silence' },
  },
});

test('probes are listed in the order in which they are asked for', () => {
  const outcomes = (vantages: Parameters<typeof probesFrom>[1]) =>
    probesFrom(path, vantages).map(({ vantage }) => vantage);
  expect(outcomes(AWAY)).toEqual(['other-node', 'outside']);
  expect(outcomes(['outside', 'node', 'pod'])).toEqual(['outside', 'node']);
});

test.each<[ProbeResult['outcome'], boolean]>([
  ['answered', false],
  ['refused', true],
  ['timeout', true],
  ['unreachable', true],
  // Over UDP silence proves nothing.
  ['unknown', false],
])('a probe that is %s has failed: %p', (outcome, isFailed) => {
  expect(failed({ outcome } as ProbeResult)).toBe(isFailed);
});

test('a probe that was not sent is not answered', () => {
  expect(['outside', 'other-node', 'pod'].map((vantage) => answered(path, vantage as 'pod'))).toEqual([
    true,
    false,
    false,
  ]);
});

test('the evidence of a probe is where it went and what it saw', () => {
  const probe = path.probes.get('other-node')!;
  const v6 = { address: 'fd00::2', port: 80 };
  expect(
    probeEvidence([
      probe,
      { ...path.probes.get('outside')!, target: v6, answeredBy: { address: '10.1.0.2', port: 8080 } },
    ]),
  ).toEqual([
    { kind: 'probe', where: 'other-node (n2) to 172.17.0.2:80', saw: 'refused: ECONNREFUSED' },
    {
      kind: 'probe',
      where: 'outside to [fd00::2]:80',
      saw: 'answered: connected, translated to 10.1.0.2:8080',
    },
  ]);
});
