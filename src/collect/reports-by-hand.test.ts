import { expect, test } from 'bun:test';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import { smallWorld } from '../path/testing/small-world.ts';
import { trustedReports } from '../path/view/trusted-report.ts';
import { LazyMap } from '../util/lazy-map.ts';
import { assigned, withoutStale } from './cluster.ts';
import { emptyReport } from './reader/cluster.fake.ts';
import { parseReport } from './report.ts';

const of = (node: string, rest: Partial<NodeReport> = {}): Observed<NodeReport> => ({
  value: { ...emptyReport(node), ...rest },
});
const outcome = (reports: ReadonlyMap<string, Observed<NodeReport>>) =>
  Object.fromEntries(
    [...reports].map(([node, report]) => [node, 'value' in report ? report.value.node : report.unknown]),
  );

const NODES = new Set(['a', 'b']);

test.each([
  ['named for their nodes', { a: of('a'), b: of('b') }, { a: 'a', b: 'b' }],
  ['named for anything else', { 'report-1': of('b'), 'report-2': of('a') }, { b: 'b', a: 'a' }],
  [
    'twice',
    { a: of('a'), 'a-again': of('a'), b: of('b') },
    { a: '2 reports are of a (a.json, a-again.json): keep one', b: 'b' },
  ],
  ['named for another node, which is judged later', { a: of('b'), b: of('b') }, { a: 'b', b: 'b' }],
  ['of no node of the cluster', { x: of('y') }, { x: 'y' }],
  ['that cannot be read', { a: { unknown: 'truncated' } }, { a: 'truncated' }],
])('files with reports: %s', (_, files, expected) => {
  expect(outcome(assigned(new Map(Object.entries(files)), NODES))).toEqual(expected);
});

test('a file is read when its report is asked for, and before only if it is not named for a node', () => {
  const all: Record<string, Observed<NodeReport>> = { a: of('a'), 'report-2': of('b') };
  const read: string[] = [];
  const files = new LazyMap(Object.keys(all), (file) => {
    read.push(file);
    return all[file]!;
  });
  const reports = withoutStale(assigned(files, NODES), 1000, Date.now());
  expect(read).toEqual(['report-2']);
  for (const node of ['a', 'b', 'a']) reports.get(node);
  expect(read).toEqual(['report-2', 'a', 'report-2', 'a']);
});

test('a report that is older than it may be leaves its node unknown, and no other', () => {
  const now = Date.parse('2026-01-01T12:00:00Z');
  const reports = new Map([
    ['a', of('a', { takenAt: '2026-01-01T09:59:59Z' })],
    ['b', of('b', { takenAt: '2026-01-01T10:00:01Z' })],
    // The clock was set back since: how old it is nobody knows.
    ['c', of('c', { takenAt: '2026-01-01T15:00:00Z' })],
  ]);
  expect(outcome(withoutStale(reports, 2 * 3_600_000, now))).toEqual({
    a: 'the report is 120m old, more than 120m (--max-age): take a new one',
    b: 'b',
    c: 'the report was taken 3h in the future, more than 120m (--max-age): a clock is wrong',
  });
  expect(outcome(withoutStale(reports, undefined, now))).toEqual({ a: 'a', b: 'b', c: 'c' });
});

test.each([
  ['cut off', '{"apiVersion":"hostport/v1","kind":"NodeRep', /^a\.json: /],
  [
    'of a later program',
    '{"apiVersion":"hostport/v2","kind":"NodeReport"}',
    /its apiVersion is "hostport\/v2", and this program reads hostport\/v1/,
  ],
  ['of something else', '{"kind":"Pod"}', /apiVersion/],
])('a report that is %s is unknown with the reason', (_, text, why) => {
  expect(parseReport(text, 'a.json')).toEqual({ unknown: expect.stringMatching(why) });
});

test.each([
  ['the same machine', 'ec2d5ffa1c0b4fa3a5e8f8e6b1d4c7a0', undefined],
  ['the same, as firmware writes it', 'EC2D5FFA-1C0B-4FA3-A5E8-F8E6B1D4C7A0', undefined],
  ['one that the kubelet does not report', '', undefined],
  [
    'another machine',
    '00000000000000000000000000000000',
    /on another machine than n1: it has machine ID ec2d/,
  ],
])('whose machine a report is of: %s', (_, machineID, why) => {
  const machine = { ...emptyReport('n1').machine, machineId: 'ec2d5ffa1c0b4fa3a5e8f8e6b1d4c7a0' };
  const node = { metadata: { name: 'n1' }, status: { nodeInfo: { machineID } as never } };
  const world = smallWorld([], { nodes: [node], reports: new Map([['n1', of('n1', { machine })]]) });
  const takenAt = { ...world, observedAt: new Date().toISOString() };
  const report = trustedReports(takenAt).get('n1')!;
  expect('unknown' in report ? report.unknown : undefined).toEqual(
    why === undefined ? undefined : expect.stringMatching(why),
  );
});
