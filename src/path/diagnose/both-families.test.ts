import { expect, test } from 'bun:test';
import type { Subject } from '../model/finding.ts';
import { words } from '../model/message.ts';
import type { Detection } from '../stages/failure.ts';
import { ofBothFamilies } from './both-families.ts';

const pod = { namespace: 'default', name: 'echo', uid: '1' };
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const mapping: Subject = { node: 'n', pod, port };

const found = (subject: Subject, ...saw: string[]): Detection => ({
  subject,
  message: words('It is so.', {}),
  evidence: saw.map((text) => ({ kind: 'rule', where: 'nat', saw: text })),
  data: saw[0],
});
const v4 = (...saw: string[]) => found({ ...mapping, family: 'IPv4' }, ...saw);
const v6 = (...saw: string[]) => found({ ...mapping, family: 'IPv6' }, ...saw);

test.each<[string, Detection[], Detection[]]>([
  ['one family', [v6('a')], [v6('a')]],
  ['no family', [found(mapping, 'a')], [found(mapping, 'a')]],
  [
    'no family, and one',
    [found(mapping, 'a'), v4('b'), v6('c')],
    [found(mapping, 'a'), found(mapping, 'b', 'c')],
  ],
  ['both, with the evidence of both, once', [v4('a', 'b'), v6('a', 'c')], [found(mapping, 'a', 'b', 'c')]],
  [
    'both, the one graver than the other',
    [
      { ...v4('a'), severity: 'note' },
      { ...v6('b'), severity: 'risk' },
    ],
    [
      { ...v4('a'), severity: 'note' },
      { ...v6('b'), severity: 'risk' },
    ],
  ],
  [
    'both, equally grave in their own way',
    [
      { ...v4('a'), severity: 'risk' },
      { ...v6('b'), severity: 'risk' },
    ],
    [{ ...found(mapping, 'a', 'b'), severity: 'risk' }],
  ],
  ['one more in one family', [v4('a'), v4('b'), v6('c')], [found(mapping, 'a', 'c'), v4('b')]],
  ['two in each', [v4('a'), v6('c'), v4('b'), v6('d')], [found(mapping, 'a', 'c'), found(mapping, 'b', 'd')]],
  ['one family twice', [v4('a'), v4('b')], [v4('a'), v4('b')]],
  [
    'two families of two mappings',
    [v4('a'), found({ ...mapping, port: { ...port, hostPort: 81 }, family: 'IPv6' }, 'a')],
    [v4('a'), found({ ...mapping, port: { ...port, hostPort: 81 }, family: 'IPv6' }, 'a')],
  ],
])('%s', (_, detections, reported) => {
  expect(ofBothFamilies(detections)).toStrictEqual(reported);
});
