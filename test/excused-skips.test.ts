import { expect, test } from 'bun:test';
import { excusedSkips, NO_NETFILTER, NO_SCTP } from '../scripts/excused-skips.ts';
import { casesIn } from '../scripts/junit-report.ts';

const skipped = (name: string) => `<testcase name="${name}" classname="x" time="0">
        <skipped />
      </testcase>`;
const passed = (name: string) => `<testcase name="${name}" classname="x" time="0.1" />`;

test.each<[string, string[], Record<string, number>]>([
  ['nothing', [], {}],
  ['what passed', [passed(`a (${NO_NETFILTER})`), skipped('b')], {}],
  ['for another reason', [skipped('a (needs root)'), skipped(NO_NETFILTER)], {}],
  [
    'for these reasons',
    [skipped(`a (${NO_NETFILTER})`), passed('b'), skipped(`c (${NO_NETFILTER})`), skipped(`d (${NO_SCTP})`)],
    { [NO_NETFILTER]: 2, [NO_SCTP]: 1 },
  ],
])('of a report, tests that were skipped %s', (_, cases, counts) => {
  const report = `<testsuites><testsuite>${cases.join('\n')}</testsuite></testsuites>`;
  expect(Object.fromEntries(excusedSkips(casesIn(report)))).toEqual(counts);
});
