import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { podOn } from '../testing/small-world.ts';
import { controllerOf, replacementsIn, replaces } from './replaced-pod.ts';

type Owner = NonNullable<NonNullable<Pod['metadata']>['ownerReferences']>[number];
const owner = (uid: string, more: Partial<Owner> = {}): Owner => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: uid,
  uid,
  controller: true,
  ...more,
});

interface Made {
  name?: string;
  by?: Owner[];
  at?: string | undefined;
  phase?: string;
  gone?: boolean;
}

function made({ name = 'a', by = [owner('set')], phase = 'Running', gone = false, ...rest }: Made): Pod {
  const at = 'at' in rest ? rest.at : '2026-01-01T00:00:01Z';
  const pod = podOn('n1', name, 80);
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      ownerReferences: by,
      ...(at === undefined ? {} : { creationTimestamp: at }),
      ...(gone ? { deletionTimestamp: '2026-01-02T00:00:00Z' } : {}),
    },
    status: { phase },
  };
}

test.each<[string, Pod, string | undefined]>([
  ['is the owner that controls it', made({ by: [owner('x', { controller: false }), owner('set')] }), 'set'],
  ['is no owner that does not', made({ by: [owner('x', { controller: false })] }), undefined],
  [
    'is not said without the field',
    made({ by: [{ ...owner('x'), controller: undefined } as never] }),
    undefined,
  ],
  ['is not the node of a static pod', made({ by: [owner('n', { kind: 'Node' })] }), undefined],
  ['is missing of a pod without owners', podOn('n1', 'a', 80), undefined],
  ['is missing of a pod without anything', {} as Pod, undefined],
])('the controller %s', (_, pod, uid) => {
  expect(controllerOf(pod)).toBe(uid as string);
});

describe('a rejected pod', () => {
  const LATER = '2026-01-01T00:00:02Z';
  const EARLIER = '2026-01-01T00:00:00Z';
  test.each<[string, Made, Made, boolean]>([
    ['is replaced by one that is younger', { at: LATER }, {}, true],
    ['is replaced by one of the same second', {}, {}, true],
    ['is not replaced by one that was there before', { at: EARLIER }, {}, false],
    ['is not replaced by one that waits', { at: LATER, phase: 'Pending' }, {}, false],
    ['is not replaced by one that goes', { at: LATER, gone: true }, {}, false],
    ['of no time is replaced by any', {}, { at: undefined }, true],
    ['is not replaced by one of no time', { at: undefined }, {}, false],
  ])('%s', (_, other, refused, expected) => {
    expect(replaces(made(other), made({ phase: 'Failed', ...refused }))).toBe(expected);
    // One that runs is not replaced by anything.
    expect(replaces(made(other), made(refused))).toBe(false);
  });

  test('without a status is not replaced', () => {
    expect(replaces(made({}), {} as Pod)).toBe(false);
    expect(replaces({} as Pod, made({ phase: 'Failed' }))).toBe(false);
  });
});

test('the replacement of each controller is its youngest pod that runs', () => {
  const pods = [
    made({ name: 'old' }),
    made({ name: 'young', at: '2026-01-01T00:00:05Z' }),
    made({ name: 'twin', at: '2026-01-01T00:00:05Z' }),
    made({ name: 'middle', at: '2026-01-01T00:00:03Z' }),
    made({ name: 'gone', at: '2026-01-01T00:00:09Z', gone: true }),
    made({ name: 'waiting', at: '2026-01-01T00:00:09Z', phase: 'Pending' }),
    made({ name: 'other', by: [owner('other')] }),
    made({ name: 'nobodys', by: [] }),
  ];
  const names = [...replacementsIn(pods)].map(([uid, { metadata }]) => `${uid} ${metadata!.name}`);
  expect(names).toEqual(['set young', 'other other']);
});
