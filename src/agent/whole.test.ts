import { expect, test } from 'bun:test';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import { isWhole } from './whole.ts';

const NONE = { value: [] };
const UNKNOWN = { unknown: 'no answer' };
const VALUE = {
  network: { links: NONE },
  cni: { files: NONE, attachments: NONE },
  netfilter: { iptables: [] },
};
const withParts = (parts: object) => ({ value: { ...VALUE, ...parts } }) as unknown as Observed<NodeReport>;

test.each<[string, Observed<NodeReport>, boolean]>([
  ['one of which all is known', withParts({}), true],
  ['none at all', UNKNOWN, false],
  ['without sandboxes', withParts({ sandboxes: UNKNOWN }), false],
  ['without the rules of IPv6', withParts({ network: { rules: { ipv4: NONE, ipv6: UNKNOWN } } }), false],
  ['without a table', withParts({ netfilter: { iptables: [{ text: UNKNOWN }] } }), false],
  [
    'with a plugin that did not answer',
    withParts({ cni: { plugins: { value: [{ versions: UNKNOWN }] } } }),
    false,
  ],
  [
    'with a file that could not be read',
    withParts({ cni: { files: { value: [{ content: UNKNOWN }] } } }),
    false,
  ],
  [
    'with a file that is no configuration',
    withParts({ cni: { files: { value: [{ content: UNKNOWN, broken: true }] } } }),
    true,
  ],
  [
    'of a runtime that does not say what it has loaded',
    withParts({ runtime: { value: { loadedNetworks: UNKNOWN } } }),
    true,
  ],
  [
    'with a result that has that word',
    withParts({ cni: { attachments: { value: [{ result: UNKNOWN }] } } }),
    true,
  ],
])('a report: %s', (_, report, whole) => {
  expect(isWhole(report)).toBe(whole);
});
