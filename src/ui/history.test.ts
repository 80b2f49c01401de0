import { describe, expect, test } from 'bun:test';
import { gunzipSync } from 'node:zlib';
import type { Diagnosis, PathVerdict, StageVerdict } from '../path/model/finding.ts';
import { type Stage, stages } from '../path/model/stages.ts';
import { differenceOf } from './difference.ts';
import { HISTORY_LIMITS, History } from './history.ts';

const START = Date.parse('2030-01-01T00:00:00Z');

function path(
  pod: string,
  verdicts: Partial<Record<Stage, StageVerdict['verdict']>> = {},
  uid = pod,
): PathVerdict {
  const cells = stages.map((stage) => [stage, { verdict: verdicts[stage] ?? 'ok', codes: [] }]);
  return {
    node: 'n1',
    pod: { namespace: 'default', name: pod, uid },
    port: { protocol: 'TCP', hostPort: 80, containerPort: 8080 },
    stages: Object.fromEntries(cells),
  };
}

function finding(pod: string, saw = 'x'): Diagnosis['findings'][number] {
  return {
    ...{ code: 'mapping-missing', stage: 'translated', severity: 'broken' },
    subject: { node: 'n1', pod: { namespace: 'default', name: pod, uid: pod } },
    ...{ message: `no mapping of ${pod}`, args: {}, explanation: 'why', remedy: 'how', restart: 'no' },
    evidence: [{ kind: 'rule', where: 'ip nat', saw }],
    documentation: 'docs/failures/mapping-missing.md',
  };
}

/** Of so many seconds after the start. */
function diagnosis(seconds: number, paths: PathVerdict[], rest: Partial<Diagnosis> = {}): Diagnosis {
  const observedAt = new Date(START + seconds * 1000).toISOString();
  return {
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt,
    paths,
    findings: [],
    unknowns: [],
    ...rest,
  };
}

const BROKEN = { translated: 'broken' } as const;

describe('a history', () => {
  const add = (history: History, seen: Diagnosis) => history.add(seen, { observedAt: seen.observedAt, seen });

  test('has a moment for each change of a verdict, and what lasts is one', () => {
    const history = new History();
    expect(add(history, diagnosis(0, [path('a'), path('b')]))).toBe('moment');
    expect(history.add(diagnosis(2, [path('a'), path('b')]), { seen: 1 })).toBe('evidence');
    expect(history.add(diagnosis(4, [path('a'), path('b')]), { seen: 1, observedAt: 'now' })).toBe('nothing');
    const broken = diagnosis(6, [path('a', BROKEN), path('b')], { findings: [finding('a')] });
    expect(add(history, broken)).toBe('moment');
    expect(history.moments).toEqual([
      {
        ...{ id: 1, revision: 1 },
        ...{ from: '2030-01-01T00:00:00.000Z', until: '2030-01-01T00:00:04.000Z' },
        mappings: { good: 2, risk: 0, broken: 0, unknown: 0 },
      },
      {
        ...{ id: 2, revision: 0 },
        ...{ from: '2030-01-01T00:00:06.000Z', until: '2030-01-01T00:00:06.000Z' },
        mappings: { good: 1, risk: 0, broken: 1, unknown: 0 },
      },
    ]);
    expect(JSON.parse(gunzipSync(history.page(2)!).toString())).toEqual({
      observedAt: broken.observedAt,
      seen: broken,
    });
  });

  test('says what changed between two moments, in either direction', () => {
    const history = new History();
    add(history, diagnosis(0, [path('a'), path('b')]));
    const unknowns = [{ kind: 'node' as const, node: 'n2', what: 'node report', why: 'silent' }];
    add(history, diagnosis(1, [path('a', BROKEN), path('c')], { findings: [finding('a')], unknowns }));
    const sentence = { code: 'mapping-missing', severity: 'broken', message: 'no mapping of a' } as const;
    const unknown = { node: 'n2', what: 'node report', why: 'silent' };
    const [a, b, c] = ['a', 'b', 'c'].map((pod) => ({ node: 'n1', pod, port: 'TCP 80' }));
    expect(history.difference(1, 2)).toEqual({
      ...{
        appeared: [c!],
        gone: [b!],
        found: [sentence],
        solved: [],
        lost: [unknown],
        regained: [],
        more: 0,
      },
      changed: [{ ...a!, stages: [{ stage: 'translated', from: 'ok', to: 'broken' }] }],
    });
    expect(history.difference(2, 1)).toEqual({
      ...{
        appeared: [b!],
        gone: [c!],
        found: [],
        solved: [sentence],
        lost: [],
        regained: [unknown],
        more: 0,
      },
      changed: [{ ...a!, stages: [{ stage: 'translated', from: 'broken', to: 'ok' }] }],
    });
    expect(history.difference(1, 1)).toMatchObject({
      appeared: [],
      gone: [],
      changed: [],
      found: [],
      more: 0,
    });
    expect(history.difference(1, 3)).toBeUndefined();
  });

  const node = { kind: 'node', node: 'n2', what: 'node report', why: 'silent' } as const;
  const base = { paths: [path('a', BROKEN), path('b')], findings: [finding('a')], unknowns: [node] };
  const coded = path('a', BROKEN);
  coded.stages.translated.codes.push('mapping-missing');
  test.each<[string, boolean, Partial<Diagnosis>]>([
    ['other evidence', false, { findings: [finding('a', '2 packets')] }],
    ['a recreated pod', false, { paths: [path('a', BROKEN, 'other'), path('b')] }],
    ['another order', false, { paths: base.paths.toReversed() }],
    ['another severity', false, { findings: [{ ...finding('a'), severity: 'risk' }] }],
    ['another code at the same stage', false, { paths: [coded, path('b')] }],
    ['a note', false, { findings: [finding('a'), { ...finding('b'), severity: 'note' }] }],
    ['another reason of an unknown', false, { unknowns: [{ ...node, why: 'away' }] }],
    ['a note that becomes a risk', true, { findings: [{ ...finding('a'), severity: 'note' }] }],
    ['another verdict', true, { paths: [path('a'), path('b')] }],
    ['a mapping more', true, { paths: [...base.paths, path('c')] }],
    ['a mapping less', true, { paths: [path('a', BROKEN)] }],
    ['another finding', true, { findings: [finding('b')] }],
    ['another unknown', true, { unknowns: [{ ...node, node: 'n3' }] }],
  ])('%s: a moment exactly if there is a difference (%p)', (_, isMoment, change) => {
    const history = new History();
    const [before, after] = [diagnosis(0, [], base), diagnosis(1, [], { ...base, ...change })];
    add(history, before);
    expect(add(history, after)).toBe(isMoment ? 'moment' : 'evidence');
    const { more, ...parts } = differenceOf(before, after);
    expect(more + Object.values(parts).flat().length > 0).toBe(isMoment);
  });

  test.each([0, 5, -5])(
    'forgets what ended an hour ago, and keeps what lasts; a clock that was set by %d hours',
    (hours) => {
      let passed = 0;
      const history = new History(HISTORY_LIMITS, { monotonic: () => passed * 1000 });
      const see = (seconds: number, seen: PathVerdict) => {
        passed = seconds;
        add(history, diagnosis(seconds + (seconds > 0 ? hours * 3600 : 0), [seen]));
      };
      see(0, path('a'));
      see(10, path('a', BROKEN));
      expect(history.moments.map(({ id }) => id)).toEqual([1, 2]);
      see(3609, path('a', BROKEN));
      expect(history.moments.map(({ id }) => id)).toEqual([2]);
      expect(history.page(1)).toBeUndefined();
      see(3700, path('a'));
      expect(history.moments.map(({ id }) => id)).toEqual([2, 3]);
    },
  );

  test.each([
    ['moments', { moments: 10 }],
    ['bytes', { bytes: 8000 }],
  ])('is bounded in %s, and the newest stays', (_, limit) => {
    const history = new History({ ageMs: 3_600_000, moments: 1000, bytes: 64 << 20, ...limit });
    for (let i = 0; i < 200; i++) {
      const paths = Array.from({ length: 5 }, (_, n) => path(`${i}-${n}-${Bun.hash(`${i} ${n}`)}`));
      add(history, diagnosis(i, paths));
    }
    const { moments } = history;
    expect(moments.at(-1)!.id).toBe(200);
    expect(moments.length).toBeLessThanOrEqual(10);
    const size = moments.reduce((sum, { id }) => sum + history.page(id)!.length, 0);
    expect(size).toBeLessThan(20_000);
  });

  test('a document that is larger than all may be is kept alone', () => {
    const history = new History({ ageMs: 3_600_000, moments: 10, bytes: 10 });
    add(history, diagnosis(0, [path('a')]));
    add(history, diagnosis(1, [path('b')]));
    expect(history.moments.map(({ id }) => id)).toEqual([2]);
  });

  test('a difference of a large cluster names a bounded number, and counts the rest', () => {
    const history = new History();
    add(history, diagnosis(0, []));
    add(
      history,
      diagnosis(
        1,
        Array.from({ length: 2000 }, (_, i) => path(`p${i}`)),
      ),
    );
    const difference = history.difference(1, 2)!;
    expect([difference.appeared.length, difference.more]).toEqual([500, 1500]);
  });
});
