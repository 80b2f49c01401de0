import { expect, test } from 'bun:test';
import { realReport, specsOf, specsSection, withSpecs } from '../scripts/real-report.ts';

const JUNIT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="6" failures="1" skipped="1" time="9">
  <testsuite name="x">
    <testcase name="answers" classname="the lab&apos;s own: a lab" time="2.5" file="x" assertions="1" />
    <testcase name="answers" classname="Kubernetes v1.36.1: a lab" time="4" file="x" assertions="1" />
    <testcase name="heals" classname="Kubernetes v1.36.1: a lab" time="1" file="x" assertions="1">
      <failure type="AssertionError" message="no" />
    </testcase>
    <testcase name="plugin-missing" classname="1.36 &gt; the lab&apos;s own: every failure" time="0.01" file="x" assertions="1" />
    <testcase name="plugin-missing" classname="Kubernetes v1.36.1: every failure (needs kubernetes)" time="0" file="x" assertions="0">
      <skipped />
    </testcase>
    <testcase name="alone" classname="" time="0.2" file="x" assertions="1" />
  </testsuite>
</testsuites>`;

test('the page has a column a subject, a row a suite, and what failed', () => {
  const page = realReport(
    [JUNIT],
    [
      { subject: "the lab's own", what: 'memory, MB', value: 219.6 },
      { subject: 'Kubernetes v1.36.1', what: 'memory, MB', value: 20.34 },
    ],
    ['kubernetes v1.36.1', 'ctr v2.3.7'],
  );
  expect(page.split('\n').filter((line) => line.startsWith('|') || line.startsWith('-'))).toEqual([
    "| suite | the lab's own | Kubernetes v1.36.1 |",
    '| --- | --- | --- |',
    '| a lab | 1 of 1, 3 s | 1 of 2, 5 s |',
    '| every failure | 1 of 1, 0 s | not run: needs kubernetes |',
    '| other tests |  |',
    '| --- | --- |',
    '| by themselves | 1 of 1, 0 s |',
    "| measured | the lab's own | Kubernetes v1.36.1 |",
    '| --- | --- | --- |',
    '| memory, MB | 220 | 20.3 |',
    '- Kubernetes v1.36.1: a lab: heals',
  ]);
  expect(page).toContain('Versions: kubernetes v1.36.1, ctr v2.3.7. Machine: ');
});

test('a later report replaces what it has, too', () => {
  const again = JUNIT.replace(/<failure[^>]*>/, '');
  expect(realReport([JUNIT, again], [], [])).toBe(realReport([again], [], []));
  expect(realReport([again, JUNIT], [], [])).toContain('Failed:');
});

test('specs are a part of the page that stays when the rest is written again', () => {
  const section = specsSection([
    { engine: 'own', group: 'hostport', name: 'no conflict', state: 'passed', seconds: 20 },
    { engine: 'own', group: 'hostport', name: 'exists conflict', state: 'failed', seconds: 300 },
    { engine: 'own', group: 'pods', name: 'a pod', state: 'passed', seconds: 3 },
    { engine: 'real', group: 'hostport', name: 'no conflict', state: 'passed', seconds: 15 },
  ]);
  expect(section.split('\n').filter((line) => line.startsWith('|'))).toEqual([
    '| specs | own | real |',
    '| --- | --- | --- |',
    '| hostport | 1 of 2, 320 s | 1 of 1, 15 s |',
    '| pods | 1 of 1, 3 s | not run |',
    '| `no conflict` | passed | passed |',
    '| `exists conflict` | failed | not run |',
  ]);
  const page = realReport([JUNIT], [], []);
  const whole = withSpecs(page, section);
  expect(specsOf(page)).toBe('');
  expect(specsOf(whole)).toBe(section);
  expect(withSpecs(page, specsOf(whole))).toBe(whole);
  expect(withSpecs(whole, section)).toBe(whole);
});
