import { expect, test } from 'bun:test';
import { ofBothFamilies } from './both-families.ts';
import type { Detection } from './failure.ts';
import type { Subject } from './finding.ts';

const pod = { namespace: 'default', name: 'echo', uid: '1' };
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const mapping: Subject = { node: 'n', pod, port };

const found = (subject: Subject, ...saw: string[]): Detection => ({
  subject,
  message: 'It is so.',
  evidence: saw.map((text) => ({ kind: 'rule', where: 'nat', saw: text })),
  data: saw[0],
});
const v4 = (...saw: string[]) => found({ ...mapping, family: 'IPv4' }, ...saw);
const v6 = (...saw: string[]) => found({ ...mapping, family: 'IPv6' }, ...saw);

test.each<[string, Detection[], Detection[]]>([
  ['one family', [v6('a')], [v6('a')]],
  ['no family', [found(mapping, 'a')], [found(mapping, 'a')]],
  ['both, with the evidence of both, once', [v4('a', 'b'), v6('a', 'c')], [found(mapping, 'a', 'b', 'c')]],
  ['one family twice', [v4('a'), v4('b')], [v4('a'), v4('b')]],
  [
    'two families of two mappings',
    [v4('a'), found({ ...mapping, port: { ...port, hostPort: 81 }, family: 'IPv6' }, 'a')],
    [v4('a'), found({ ...mapping, port: { ...port, hostPort: 81 }, family: 'IPv6' }, 'a')],
  ],
])('%s', (_, detections, told) => {
  expect(ofBothFamilies(detections)).toEqual(told);
});
