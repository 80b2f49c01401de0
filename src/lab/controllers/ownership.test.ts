import { describe, expect, test } from 'bun:test';
import type { KubeObject, OwnerReference } from '../../kube/types.ts';
import { claim } from './ownership.ts';

const DELETED = '2026-01-01T00:00:00Z' as never;
const owner: KubeObject = { metadata: { name: 'o', uid: 'o' } };
const by = (uid: string, controller = true): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'K',
  name: uid,
  uid,
  controller,
});
const object = (label: string, owners: OwnerReference[] = [], deletionTimestamp?: never): KubeObject => ({
  metadata: { labels: { label }, ownerReferences: owners, deletionTimestamp },
});
const matches = (labels: Record<string, string> | undefined) => labels?.label === 'mine';

describe('claim', () => {
  const cases: [string, KubeObject, KubeObject, 'keep' | 'adopt' | 'release' | undefined][] = [
    ['ours', owner, object('mine', [by('o')]), 'keep'],
    ['ours, matching no more', owner, object('other', [by('o')]), 'release'],
    ["another's", owner, object('mine', [by('p')]), undefined],
    ['an orphan', owner, object('mine'), 'adopt'],
    ['owned but not controlled', owner, object('mine', [by('p', false)]), 'adopt'],
    ['an orphan that does not match', owner, object('other'), undefined],
    ['an orphan that ends', owner, object('mine', [], DELETED), undefined],
    [
      'an orphan while the owner ends',
      { metadata: { uid: 'o', deletionTimestamp: DELETED } },
      object('mine'),
      undefined,
    ],
    [
      'ours, matching no more, while the owner ends',
      { metadata: { uid: 'o', deletionTimestamp: DELETED } },
      object('other', [by('o')]),
      undefined,
    ],
  ];
  for (const [name, of, candidate, expected] of cases) {
    test(`${name}: ${expected ?? 'left alone'}`, () => {
      const result = claim(of, matches, [candidate]);
      const found = (['keep', 'adopt', 'release'] as const).filter((kind) =>
        result[kind].includes(candidate),
      );
      expect(found).toEqual(expected === undefined ? [] : [expected]);
    });
  }
});
