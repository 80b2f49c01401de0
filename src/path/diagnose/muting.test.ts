import { describe, expect, test } from 'bun:test';
import type { Severity, Subject } from '../model/finding.ts';
import type { Stage } from '../model/stages.ts';
import type { Failure } from '../stages/failure.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { Scene } from '../view/scene.ts';
import { coveringAmong, mute } from './muting.ts';

const pod = { namespace: 'default', name: 'echo', uid: '1' };
const port = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const NODE: Subject = { node: 'n' };
const POD: Subject = { node: 'n', pod };
const PORT: Subject = { node: 'n', pod, port };
const V4: Subject = { ...PORT, family: 'IPv4' };
const V6: Subject = { ...PORT, family: 'IPv6' };

type Found = Parameters<typeof mute>[0][number];
type Parts = { stage?: Stage; severity?: Severity; on?: Subject; mutedBy?: Failure['mutedBy'] };

function found(
  code: string,
  { stage = 'attached', severity = 'broken', on = PORT, mutedBy = [] }: Parts = {},
): Found {
  return { failure: { mutedBy }, finding: { code, stage, severity, subject: on } };
}

/** The muted ones as `code<by`. */
function mutedOf(cases: readonly Found[], scene?: Scene): string[] {
  const { standing, muted } = mute(cases, coveringAmong(scene?.paths ?? []));
  expect([...standing, ...muted.map(({ of }) => of)]).toHaveLength(cases.length);
  return muted.map(({ of, by }) => `${of.finding.code}<${by}`);
}

describe('a case is muted by another', () => {
  const early = { stage: 'configured' } as const;
  const late = { stage: 'answered' } as const;
  const risk = { severity: 'risk' } as const;
  const note = { severity: 'note' } as const;
  const earlier = { mutedBy: 'earlier' } as const;
  const named = { mutedBy: ['cause'] };
  const both = { mutedBy: ['earlier', 'cause'] };
  const of = (cause: Parts, effect: Parts): [Found, Found] => [
    found('cause', cause),
    found('effect', effect),
  ];

  test.each<[string, [Found, Found], boolean]>([
    ['broken earlier', of(early, earlier), true],
    ['broken at the same stage, if only earlier counts', of({}, earlier), false],
    ['broken later, if only earlier counts', of(late, earlier), false],
    ['at risk earlier, if only earlier counts', of({ ...early, ...risk }, { ...earlier, ...note }), false],
    ['named, at the same stage', of({}, named), true],
    ['named, at a later stage', of(late, named), true],
    ['named, at an earlier stage', of(early, named), true],
    ['named and as severe', of(risk, { ...named, ...risk }), true],
    ['named and more severe', of({}, { ...named, ...note }), true],
    ['named and less severe', of(risk, named), false],
    ['named, a note', of(note, { ...named, ...risk }), false],
    ['named, beside earlier ones', of(late, both), true],
    ['broken earlier, beside named ones', of(early, { mutedBy: ['other', 'earlier'] }), true],
    ['not named', of({}, { mutedBy: ['other'] }), false],
    ['broken earlier, if only named ones count', of(early, { mutedBy: ['other'] }), false],
    ['of anything, when it is a cause of its own', of(early, {}), false],
    ['on its node', of({ ...early, on: NODE }, earlier), true],
    ['on its pod', of({ ...early, on: POD }, earlier), true],
    ['on one of its mappings', of({ ...early, on: PORT }, { ...earlier, on: POD }), false],
    ['on another node', of({ ...early, on: { node: 'm' } }, earlier), false],
    ['on another pod', of({ ...early, on: { node: 'n', pod: { ...pod, uid: '2' } } }, earlier), false],
    [
      'on a mapping of one hostIP, when it is one of all addresses',
      of({ ...early, on: { ...PORT, port: { ...port, hostIP: '127.0.0.1' } } }, earlier),
      false,
    ],
    ['on the whole cluster', of({ ...early, on: {} }, earlier), true],
    ['on both families', of({ ...early, on: PORT }, { ...earlier, on: V6 }), true],
    ['on its family', of({ ...early, on: V6 }, { ...earlier, on: V6 }), true],
    ['on the other family', of({ ...early, on: V4 }, { ...earlier, on: V6 }), false],
    ['on one of both families', of({ ...early, on: V4 }, earlier), false],
  ])('%s', (_, [cause, effect], isMuted) => {
    for (const cases of [
      [cause, effect],
      [effect, cause],
    ])
      expect(mutedOf(cases)).toEqual(isMuted ? ['effect<cause'] : []);
  });
});

test('a case that is muted mutes others, and nothing mutes itself', () => {
  const chain = [
    found('a', { stage: 'configured', mutedBy: ['a'] }),
    found('b', { mutedBy: ['a'] }),
    found('c', { mutedBy: ['b'] }),
  ];
  expect(mutedOf(chain)).toEqual(['b<a', 'c<b']);
});

test('of two cases of one failure on one subject, both are muted by the cause of either', () => {
  const cases = [
    found('cause', { on: NODE }),
    found('x', { mutedBy: ['cause'] }),
    found('x', { mutedBy: ['cause'] }),
  ];
  expect(mutedOf(cases)).toEqual(['x<cause', 'x<cause']);
});

test('of two cases of one failure on one subject, the graver mutes, whichever is first', () => {
  const [risk, broken] = [found('cause', { severity: 'risk', on: NODE }), found('cause', { on: NODE })];
  const effect = found('effect', { mutedBy: ['cause'] });
  expect(mutedOf([risk, broken, effect])).toEqual(['effect<cause']);
  expect(mutedOf([broken, risk, effect])).toEqual(['effect<cause']);
});

test('what covers a subject is of each kind the first, the coarser subjects first', () => {
  const said = [
    { subject: PORT, value: 'a port' },
    { subject: NODE, value: 'b node' },
    { subject: NODE, value: 'a node' },
    { subject: NODE, value: 'a node again' },
    { subject: V4, value: 'a family' },
  ];
  const covering = coveringAmong([])(said, ([kind]) => kind!);
  expect(covering(V6)).toEqual(['b node', 'a node', 'a port']);
  expect(covering(NODE)).toEqual(['b node', 'a node']);
});

test('a subject without a family is of the one that all its mappings are reached by', () => {
  // The pod and its node have IPv4 alone.
  const scene = new Scene(smallWorld([podOn('n1', 'a', 80)]));
  const [path] = scene.paths;
  const cause = found('cause', { stage: 'configured', on: { node: 'n1', family: path!.family! } });
  const effect = found('effect', { mutedBy: 'earlier', on: path!.subject });
  expect([path!.subject.family, path!.family]).toEqual([undefined, 'IPv4']);
  expect(mutedOf([cause, effect], scene)).toEqual(['effect<cause']);
  expect(mutedOf([cause, effect])).toEqual([]);
});
