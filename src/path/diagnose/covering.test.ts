import { describe, expect, test } from 'bun:test';
import type { FamilyName } from '../../util/family.ts';
import type { Subject } from '../model/finding.ts';
import type { PathView } from '../view/scene.ts';
import { coveringKeys, inFamilyOf, keyOf } from './covering.ts';

const pod = { namespace: 'default', name: 'a', uid: 'u' };
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };

test.each<[string, Subject]>([
  ['|||', {}],
  ['n|||', { node: 'n' }],
  ['|u||', { pod }],
  ['n|u|TCP  80|', { node: 'n', pod, port }],
  [
    'n|u|UDP 127.0.0.1 81|IPv4',
    { node: 'n', pod, port: { ...port, protocol: 'UDP', hostIP: '127.0.0.1', hostPort: 81 }, family: 'IPv4' },
  ],
])('the key %s', (key, subject) => {
  expect(keyOf(subject)).toBe(key);
  expect(coveringKeys(subject)).toContain(key);
});

test('a subject is covered by all that have some of its parts, and by nothing else', () => {
  expect(coveringKeys({ node: 'n', pod, port, family: 'IPv6' })).toEqual(
    ['', 'n'].flatMap((node) =>
      ['', 'u'].flatMap((uid) =>
        ['', 'TCP  80'].flatMap((key) => ['', 'IPv6'].map((family) => `${node}|${uid}|${key}|${family}`)),
      ),
    ),
  );
  expect(coveringKeys({})).toEqual(['|||']);
});

describe('the family of a subject', () => {
  const path = (family: FamilyName | undefined, subject: Subject) => ({ family, subject }) as PathView;
  const b = { ...pod, name: 'b', uid: 'v' };
  const c = { ...pod, name: 'c', uid: 'w' };
  const other = { ...port, hostPort: 81 };
  const narrow = inFamilyOf([
    path('IPv4', { node: 'n', pod, port }),
    path('IPv4', { node: 'n', pod, port: other }),
    path('IPv4', { node: 'n', pod: b, port, family: 'IPv4' }),
    path('IPv6', { node: 'n', pod: b, port, family: 'IPv6' }),
    path('IPv6', { node: 'n', pod: b, port: other }),
    path(undefined, { node: 'n', pod: c, port }),
  ]);

  test.each<[string, Subject, FamilyName | undefined]>([
    ['of a mapping is that which it is reached by', { node: 'n', pod, port }, 'IPv4'],
    ['of a pod is that of all its mappings', { node: 'n', pod }, 'IPv4'],
    ['of a mapping of both is none', { node: 'n', pod: b, port }, undefined],
    ['of a pod with mappings of both is none', { node: 'n', pod: b }, undefined],
    ['of one of its mappings is that of this', { node: 'n', pod: b, port: other }, 'IPv6'],
    ['that it has stays', { node: 'n', pod, family: 'IPv6' }, 'IPv6'],
    ['of a mapping of none is none', { node: 'n', pod: c, port }, undefined],
    ['of another is none', { node: 'm' }, undefined],
  ])('%s', (_, subject, family) => {
    expect(narrow(subject)).toEqual(family === undefined ? subject : { ...subject, family });
  });
});
