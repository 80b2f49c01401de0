import { describe, expect, test } from 'bun:test';
import type { Event } from '../../kube/types.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import { cniNode, pluginFile } from '../testing/cni-node.ts';
import { podOn, smallWorld, warningOf, worldOfNode } from '../testing/small-world.ts';
import type { NodeView } from '../view/node-view.ts';
import { type PathView, Scene } from '../view/scene.ts';
import {
  answersFromElsewhere,
  attachmentEvidence,
  eventEvidence,
  excerpt,
  excerptOfLines,
  fileEvidence,
  nodeEventEvidence,
  pluginDirectoryEvidence,
  ruleAtEvidence,
  ruleEvidence,
} from './evidence.ts';

const LONG = 'x'.repeat(2000);

test.each<[string, string, string]>([
  ['short', 'a', 'a'],
  ['as long as may be', LONG, LONG],
  ['longer', `${LONG}y`, `${LONG} … (2001 characters)`],
])('an excerpt of what is %s', (_, text, shown) => {
  expect(excerpt(text)).toBe(shown);
});

const lines = (count: number) => Array.from({ length: count }, () => '');

test.each<[string, string[], string]>([
  ['none', [], ''],
  ['two', ['a', 'b'], 'a\nb'],
  ['as long as may be', [LONG.slice(1), ''], `${LONG.slice(1)}\n`],
  ['longer', [LONG, ''], `${LONG} … (2 lines)`],
  ['as many as may be', lines(2000), '\n'.repeat(1999)],
  ['more', lines(2001), `${'\n'.repeat(1999)} … (2001 lines)`],
])('an excerpt of lines: %s', (_, all, shown) => {
  expect(excerptOfLines(all)).toBe(shown);
});

const node = { name: 'n1' } as NodeView;
const texts = (count: number) => Array.from({ length: count }, (_, i) => `rule ${i}`);

describe('rules', () => {
  test.each<[number, string | undefined]>([
    [0, undefined],
    [20, undefined],
    [21, '… 1 more rules'],
    [25, '… 5 more rules'],
  ])('%d of them', (count, more) => {
    const shown = texts(count)
      .slice(0, 20)
      .map((saw) => ({ kind: 'rule' as const, where: 'rules of n1', saw }));
    expect(ruleEvidence(node, texts(count))).toEqual([
      ...shown,
      ...(more === undefined ? [] : [{ kind: 'rule' as const, where: 'rules of n1', saw: more }]),
    ]);
  });

  test('of another place', () => {
    expect(ruleEvidence(node, texts(21), 'there').map(({ where }) => where)).toEqual(Array(21).fill('there'));
  });

  test.each<[string | undefined, string]>([
    [undefined, 'iptables-nft nat PREROUTING'],
    ['so it does', 'iptables-nft nat PREROUTING (so it does)'],
  ])('one, with the note %p', (note, where) => {
    const location = { backend: 'iptables-nft', table: 'nat', chain: 'PREROUTING' };
    expect(ruleAtEvidence({ location, text: '-A PREROUTING' } as never, note)).toEqual({
      ...{ kind: 'rule', where, saw: '-A PREROUTING' },
    });
  });
});

test('a file and an attachment are shown by their first characters', () => {
  expect(fileEvidence({ path: '/etc/x', content: `${LONG}y` } as never)).toEqual({
    ...{ kind: 'file', where: '/etc/x', saw: `${LONG} … (2001 characters)` },
  });
  expect(attachmentEvidence({ file: '/var/x', modified: '2026', config: `${LONG}y` } as never)).toEqual({
    ...{ kind: 'result', where: '/var/x (2026)', saw: `${LONG} … (2001 characters)` },
  });
});

describe('plugin directories', () => {
  const seenIn = (report: Parameters<typeof worldOfNode>[0]) =>
    pluginDirectoryEvidence(new Scene(worldOfNode(report)).nodes.get('n1')!);

  test('are shown with what is in each', () => {
    const plugins = [
      pluginFile('a', { directory: '/one' }),
      pluginFile('b', { directory: '/two' }),
      pluginFile('c', { directory: '/one' }),
      pluginFile('d', { directory: '/elsewhere' }),
    ];
    const cni = { binDirs: ['/one', '/two', '/three'], plugins: { value: plugins } };
    expect(seenIn(cniNode({}, { cni }))).toEqual([
      { kind: 'file', where: '/one', saw: 'a c' },
      { kind: 'file', where: '/two', saw: 'b' },
      { kind: 'file', where: '/three', saw: '(empty)' },
    ]);
  });

  test('are not shown where nobody could read them, or the node', () => {
    expect(seenIn(cniNode({}, { cni: { plugins: { unknown: 'EACCES' } } }))).toEqual([]);
    expect(pluginDirectoryEvidence(new Scene(smallWorld([])).nodes.get('n2')!)).toEqual([]);
  });
});

describe('events', () => {
  const OTHER = { reason: 'BackOff' };
  const about = (...events: Event[]) => {
    const pod = podOn('n1', 'a', 80);
    return eventEvidence(new Scene(smallWorld([pod], { events })), pod, /mount/);
  };
  const shown = (saw: string, reason = 'FailedCreatePodSandBox') => [
    { kind: 'event', where: `pod default/a: ${reason}`, saw },
  ];

  test.each<[string, Event[], { kind: string; where: string; saw: string }[]]>([
    ['none', [], []],
    ['one that does not match', [warningOf('a', 'other')], []],
    ['one without a message', [warningOf('a', undefined)], []],
    ['one', [warningOf('a', 'cannot mount')], shown('cannot mount')],
    [
      'the newest of several',
      [warningOf('a', 'mount 3', {}, 3), warningOf('a', 'mount 1', {}, 1), warningOf('a', 'other', {}, 4)],
      shown('mount 3'),
    ],
    [
      'a sandbox that failed, before what is newer',
      [warningOf('a', 'mount 1', {}, 1), warningOf('a', 'mount 2', OTHER, 2)],
      shown('mount 1'),
    ],
    [
      'the newest of others',
      [warningOf('a', 'mount 1', OTHER, 1), warningOf('a', 'mount 2', OTHER, 2)],
      shown('mount 2', 'BackOff'),
    ],
    ['without a reason', [warningOf('a', 'mount', { reason: undefined })], shown('mount', '')],
    ['far behind in its message', [warningOf('a', `${LONG}mount`)], []],
    ['of another pod', [warningOf('b', 'cannot mount')], []],
    [
      'of a long message',
      [warningOf('a', `mount ${LONG}`)],
      shown(`mount ${LONG.slice(6)} … (2006 characters)`),
    ],
  ])('%s', (_, events, expected) => {
    expect(about(...events) as unknown[]).toEqual(expected);
  });

  test('without a message is empty, and can be looked for', () => {
    const pod = podOn('n1', 'a', 80);
    const scene = new Scene(smallWorld([pod], { events: [warningOf('a', undefined)] }));
    expect(eventEvidence(scene, pod, /^$/) as unknown[]).toEqual(shown(''));
  });

  test('of a node are those of the first of its pods that has one', () => {
    const pods = [podOn('n1', 'a', 80, 81), podOn('n1', 'b', 82), podOn('n1', 'c', 83), podOn('n2', 'd', 84)];
    const events = ['c', 'b', 'd'].map((name) => warningOf(name, `mount of ${name}`));
    const scene = new Scene(smallWorld(pods, { events }));
    const shownOf = (name: string, pattern = /mount/) =>
      nodeEventEvidence(scene, scene.nodes.get(name)!, pattern).map(({ saw }) => saw);
    expect(shownOf('n1')).toEqual(['mount of b']);
    expect(shownOf('n2')).toEqual(['mount of d']);
    expect(shownOf('n1', /unmount/)).toEqual([]);
  });
});

test.each<[Vantage, ProbeResult['outcome'], boolean]>([
  ['outside', 'answered', true],
  ['other-node', 'answered', true],
  ['outside', 'refused', false],
  ['other-node', 'unknown', false],
  ['node', 'answered', false],
  ['direct', 'answered', false],
])('a probe from %s that was %s: answers others is %p', (vantage, outcome, is) => {
  const probes = new Map([[vantage, { vantage, outcome }]]);
  expect(answersFromElsewhere({ probes } as unknown as PathView)).toBe(is);
});

test('nobody who asked shows nothing', () => {
  expect(answersFromElsewhere({ probes: new Map() } as unknown as PathView)).toBe(false);
});
