import { describe, expect, test } from 'bun:test';
import type { PathVerdict, StageVerdict, Unknown } from '../model/finding.ts';
import { type Stage, stages } from '../model/stages.ts';
import { unknownGroups, unknownReasons } from './unknown-groups.ts';

describe('what could not be observed', () => {
  const report = (node: string, why: string): Unknown => ({ kind: 'node', node, what: 'node report', why });
  const unread: Unknown = { kind: 'objects', what: 'events', why: 'forbidden' };

  test.each<[string, Unknown[], [why: string, nodes: string[]][]]>([
    [
      'for reasons that differ in the name of the node alone is one',
      [report('a', 'no answer of a'), unread, report('b', 'no answer of b')],
      [
        ['no answer of its node', ['a', 'b']],
        ['forbidden', []],
      ],
    ],
    ['of one node names it', [report('a', 'no answer of a')], [['no answer of a', ['a']]]],
    [
      'for the same reason in the same words keeps them',
      [report('a', 'no answer of a proxy'), report('proxy', 'no answer of a proxy')],
      [
        ['no answer of a proxy', ['a']],
        ['no answer of a proxy', ['proxy']],
      ],
    ],
    [
      'for another reason is another',
      [report('a', 'too old'), report('b', 'too large')],
      [
        ['too old', ['a']],
        ['too large', ['b']],
      ],
    ],
    [
      'of another kind is another',
      [
        { kind: 'file', what: 'x', why: 'so' },
        { kind: 'pod', what: 'x', why: 'so' },
      ],
      [
        ['so', []],
        ['so', []],
      ],
    ],
  ])('%s', (_, unknowns, expected) => {
    expect(unknownGroups(unknowns).map(({ why, nodes }) => [why, [...nodes]])).toEqual(expected as never);
  });
});

describe('why stages are unknown', () => {
  const OK: StageVerdict = { verdict: 'ok', codes: [] };
  const mapping = (
    name: string,
    reasons: Partial<Record<Stage, string>>,
    node = `n-${name}`,
  ): PathVerdict => ({
    node,
    pod: { namespace: 'default', name, uid: name },
    port: { hostPort: 80, containerPort: 80, protocol: 'TCP' },
    stages: Object.fromEntries(
      stages.map((stage) => {
        const reason = reasons[stage];
        return [stage, reason === undefined ? OK : { verdict: 'unknown', codes: [], reason }];
      }),
    ) as PathVerdict['stages'],
  });
  const said = (...paths: PathVerdict[]) =>
    unknownReasons(paths).map(
      ({ stages: at, why, paths: of }) =>
        `${at.join(' ')}: ${why}: ${of.map(({ pod }) => pod.name).join(' ')}`,
    );

  test('is said once for all stages of which it is the reason', () => {
    expect(said(mapping('a', { translated: 'lost', answered: 'lost', attached: 'gone' }))).toEqual([
      'attached: gone: a',
      'translated answered: lost: a',
    ]);
  });

  test('is said once for all mappings with these stages, that of most first', () => {
    const [one, more] = [{ answered: 'not probed' }, { attached: 'lost', answered: 'lost' }];
    expect(said(mapping('a', one), mapping('b', more), mapping('c', more), mapping('d', {}))).toEqual([
      'attached answered: lost: b c',
      'answered: not probed: a',
    ]);
  });

  test('is the same where only the names of nodes differ', () => {
    const late = (name: string) => mapping(name, { answered: `no answer of n-${name}` });
    expect(said(late('a'), late('b'))).toEqual(['answered: no answer of its node: a b']);
    expect(said(late('a'))).toEqual(['answered: no answer of n-a: a']);
  });

  test('is not said of what follows from another stage, or has no reason', () => {
    const path = mapping('a', {});
    path.stages.answered = { verdict: 'muted', codes: [], reason: 'x' };
    path.stages.translated = { verdict: 'unknown', codes: [] };
    expect(unknownReasons([path])).toEqual([]);
  });
});
