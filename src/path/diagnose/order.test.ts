import { expect, test } from 'bun:test';
import type { Diagnosis, Finding, PathVerdict, StageVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';
import { causesOf } from './causes.ts';
import { inOrder } from './order.ts';

function mapping(name: string, verdict: StageVerdict['verdict'], ...codes: string[]): PathVerdict {
  const cell = (at: boolean): StageVerdict =>
    at
      ? { verdict, codes: verdict === 'broken' || verdict === 'risk' ? codes : [] }
      : { verdict: 'ok', codes: [] };
  return {
    node: `n-${name}`,
    pod: { namespace: 'default', name, uid: name },
    port: { hostPort: 80, containerPort: 80, protocol: 'TCP' },
    stages: Object.fromEntries(
      stages.map((stage) => [stage, cell(stage === 'installed')]),
    ) as PathVerdict['stages'],
  };
}

function found(code: string, severity: Finding['severity'], ...names: string[]): Finding[] {
  return names.map((name) => ({
    code,
    severity,
    stage: 'installed',
    subject: { node: `n-${name}` },
    message: `${code} on n-${name}`,
    args: {},
    evidence: [],
    explanation: 'It is so.',
    remedy: 'Fix it.',
    restart: 'no',
    documentation: `docs/failures/${code}.md`,
  }));
}

const diagnosis: Diagnosis = {
  apiVersion: 'hostport/v1',
  kind: 'Diagnosis',
  observedAt: '2026-01-01T00:00:00Z',
  paths: [
    mapping('good', 'ok'),
    mapping('risky', 'risk', 'may-break'),
    mapping('one', 'broken', 'rare'),
    mapping('doubtful', 'unknown'),
    mapping('many-1', 'broken', 'common'),
    mapping('both', 'broken', 'rare', 'common'),
    mapping('many-2', 'broken', 'common'),
  ],
  findings: [
    ...found('rare', 'broken', 'one', 'both'),
    ...found('common', 'broken', 'many-1', 'both', 'many-2'),
    ...found('may-break', 'risk', 'risky'),
  ],
  unknowns: [],
};

test('mappings and findings are in the order of the causes: what hurts most pods first, what works last', () => {
  const { paths, findings } = inOrder(diagnosis);
  expect(findings.map(({ code, subject }) => `${code} ${subject.node}`)).toEqual([
    ...['many-1', 'both', 'many-2'].map((name) => `common n-${name}`),
    ...['one', 'both'].map((name) => `rare n-${name}`),
    'may-break n-risky',
  ]);
  expect(paths.map(({ pod }) => pod.name)).toEqual([
    ...['many-1', 'both', 'many-2'],
    ...['one', 'doubtful', 'risky', 'good'],
  ]);
  expect(causesOf(findings, paths).map(({ finding }) => finding.code)).toEqual([
    'common',
    'rare',
    'may-break',
  ]);
});

test('what is in order stays as it is', () => {
  const once = inOrder(diagnosis);
  expect(inOrder(once)).toEqual(once);
});
