import { expect, test } from 'bun:test';
import { excusedSkips, NO_NETFILTER } from '../scripts/excused-skips.ts';

const skipped = (name: string) => `<testcase name="${name}" classname="x" time="0">
        <skipped />
      </testcase>`;
const passed = (name: string) => `<testcase name="${name}" classname="x" time="0.1" />`;

test.each<[string, string[], number]>([
  ['nothing', [], 0],
  ['what passed', [passed(`a (${NO_NETFILTER})`), skipped('b')], 0],
  ['for another reason', [skipped('a (needs root)'), skipped(NO_NETFILTER)], 0],
  ['for this reason', [skipped(`a (${NO_NETFILTER})`), passed('b'), skipped(`c (${NO_NETFILTER})`)], 2],
])('of a report, tests that were skipped %s', (_, cases, count) => {
  expect(excusedSkips(`<testsuites><testsuite>${cases.join('\n')}</testsuite></testsuites>`)).toBe(count);
});
