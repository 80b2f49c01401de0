import { expect, test } from 'bun:test';
import type { Diagnosis, Finding, Unknown } from '../../path/model/finding.ts';
import { nothingToFix } from './nothing-to-fix.ts';

const UNKNOWN: Unknown = { kind: 'node', node: 'n1', what: 'node n1', why: 'you may not' };

test.each([
  [[], [], 'Nothing to fix.\n'],
  [['a'], [], 'Nothing of this choice to fix; 1 other problem is left (a).\n'],
  [['a', 'b', 'a'], [UNKNOWN], 'Nothing of this choice to fix; 3 other problems are left (a, b).\n'],
  [[], [UNKNOWN], 'Nothing to fix was found, but not everything could be examined (node n1: you may not).\n'],
])('problems left: %p, and %p unknown', (codes: string[], unknowns: Unknown[], said) => {
  const findings = codes.map((code) => ({ code, severity: 'broken' }) as Finding);
  const diagnosis: Diagnosis = {
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt: '2026-01-01T00:00:00Z',
    paths: [],
    findings,
    unknowns,
  };
  expect(nothingToFix(diagnosis, true)).toBe(said);
  expect(nothingToFix(diagnosis, false)).toBe(
    said.replace('Nothing of this choice to fix', 'Nothing that heal can fix'),
  );
  const note = { code: 'n', severity: 'note' } as Finding;
  expect(nothingToFix({ ...diagnosis, findings: [...findings, note] }, true)).toBe(said);
});
