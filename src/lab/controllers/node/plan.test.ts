import { describe, expect, test } from 'bun:test';
import type { Node, NodeCondition, Pod, Taint, Toleration } from '../../../kube/types.ts';
import { SubnetPool } from './ipam.ts';
import { evictionTime, silentConditions, wantedTaints } from './plan.ts';

const NOW = Date.UTC(2026, 0, 1);
const AT = '2026-01-01T00:00:00Z';
const node = (conditions: Record<string, string>, spec: Node['spec'] = {}): Node => ({
  metadata: { name: 'n' },
  spec,
  status: {
    conditions: Object.entries(conditions).map(([type, status]): NodeCondition => ({ type, status })),
  },
});
const brief = (taints: Taint[] | undefined) =>
  taints?.map(
    ({ key, effect, timeAdded }) => `${key.split('/').pop()}:${effect}${timeAdded ? `@${timeAdded}` : ''}`,
  );
const KEY = 'node.kubernetes.io';

describe('wantedTaints', () => {
  const cases: [string, Node, string[] | undefined][] = [
    ['a ready node has none', node({ Ready: 'True' }), undefined],
    ['a new node takes no pods yet', node({}), ['not-ready:NoSchedule']],
    ['not ready', node({ Ready: 'False' }), ['not-ready:NoSchedule', `not-ready:NoExecute@${AT}`]],
    ['lost', node({ Ready: 'Unknown' }), ['unreachable:NoSchedule', `unreachable:NoExecute@${AT}`]],
    [
      'under pressure',
      node({ Ready: 'True', DiskPressure: 'True', MemoryPressure: 'False' }),
      ['disk-pressure:NoSchedule'],
    ],
    ['cordoned', node({ Ready: 'True' }, { unschedulable: true }), ['unschedulable:NoSchedule']],
    [
      'those of others stay, ours go',
      node(
        { Ready: 'True' },
        {
          taints: [
            { key: 'mine', effect: 'NoExecute' },
            { key: `${KEY}/not-ready`, effect: 'NoSchedule' },
          ],
        },
      ),
      ['mine:NoExecute'],
    ],
    [
      'the time of a taint that stays does not move',
      node(
        { Ready: 'False' },
        {
          taints: [
            { key: `${KEY}/not-ready`, effect: 'NoExecute', timeAdded: '2025-01-01T00:00:00Z' as never },
          ],
        },
      ),
      ['not-ready:NoExecute@2025-01-01T00:00:00Z', 'not-ready:NoSchedule'],
    ],
    [
      'from not ready to lost',
      node({ Ready: 'Unknown' }, { taints: [{ key: `${KEY}/not-ready`, effect: 'NoSchedule' }] }),
      ['unreachable:NoSchedule', `unreachable:NoExecute@${AT}`],
    ],
  ];
  for (const [name, given, expected] of cases) {
    test(name, () => {
      const taints = wantedTaints(given, NOW);
      expect(brief(taints)).toEqual(expected as string[]);
      if (taints !== undefined)
        expect(wantedTaints({ ...given, spec: { ...given.spec, taints } }, NOW)).toBeUndefined();
    });
  }
});

test('silence makes unknown what the kubelet alone knows, once', () => {
  const given = node({ Ready: 'True', MemoryPressure: 'False', NetworkUnavailable: 'False' });
  const conditions = silentConditions(given, NOW)!;
  expect(conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`).sort()).toEqual([
    'DiskPressure Unknown NodeStatusNeverUpdated',
    'MemoryPressure Unknown NodeStatusUnknown',
    'NetworkUnavailable False undefined',
    'PIDPressure Unknown NodeStatusNeverUpdated',
    'Ready Unknown NodeStatusUnknown',
  ]);
  expect(silentConditions({ ...given, status: { conditions } }, NOW + 1)).toBeUndefined();
});

describe('evictionTime', () => {
  const lost: Taint = { key: `${KEY}/unreachable`, effect: 'NoExecute', timeAdded: AT as never };
  const other: Taint = { key: 'other', effect: 'NoExecute', timeAdded: AT as never };
  const tolerate = (key: string, tolerationSeconds?: number): Toleration => ({
    key,
    operator: 'Exists',
    tolerationSeconds,
  });
  const cases: [string, Toleration[], Taint[], number | undefined][] = [
    ['no taint', [], [], undefined],
    ['NoSchedule does not evict', [], [{ key: 'a', effect: 'NoSchedule' }], undefined],
    ['not tolerated: now', [], [lost], NOW + 1],
    ['tolerated for ever', [tolerate(lost.key)], [lost], undefined],
    ['tolerated for a while, from when it was added', [tolerate(lost.key, 300)], [lost], NOW + 300_000],
    [
      'the shortest of two taints',
      [tolerate(lost.key, 300), tolerate('other', 5)],
      [lost, other],
      NOW + 5_000,
    ],
    ['the first that matches counts', [tolerate(lost.key), tolerate(lost.key, 300)], [lost], undefined],
    ['one of two not tolerated', [tolerate(lost.key)], [lost, other], NOW + 1],
    ['two tolerated differently', [tolerate(lost.key, 300), tolerate('other')], [lost, other], NOW + 300_000],
    ['negative means at once', [tolerate(lost.key, -1)], [lost], NOW],
  ];
  for (const [name, tolerations, taints, expected] of cases) {
    test(name, () => {
      const pod: Pod = { spec: { containers: [], tolerations } };
      expect(evictionTime(pod, taints, NOW + 1)).toBe(expected as number);
    });
  }
});

test('a pool assigns every subnet once, reuses what is released, and reports when it is empty', () => {
  const pool = new SubnetPool({ network: 0xc0a80000, prefix: 22 }, 24);
  pool.occupy('given', { network: 0xc0a80100, prefix: 24 });
  expect(['a', 'b', 'c', 'd'].map((name) => pool.take(name)?.network)).toEqual([
    0xc0a80000,
    0xc0a80200,
    0xc0a80300,
    undefined,
  ]);
  expect(pool.take('a')?.network).toBe(0xc0a80000);
  pool.release('b');
  expect(pool.take('d')?.network).toBe(0xc0a80200);
});
