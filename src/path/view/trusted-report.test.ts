/** A report is believed of its own node and time only: what it says would be said of another node, or of pods that are gone. */
import { describe, expect, test } from 'bun:test';
import type { Node } from '../../kube/types.ts';
import type { NodeReport } from '../model/node-report.ts';
import type { Observed } from '../model/observed.ts';
import { cniNode } from '../testing/cni-node.ts';
import { smallWorld } from '../testing/small-world.ts';
import { Scene } from './scene.ts';

const OBSERVED = '2026-01-08T12:00:00Z';

/** The report of node n1 (172.17.0.2) or n2 (172.17.0.3), changed. */
function reportOf(node: string, change: Partial<NodeReport> = {}, addresses?: string[]): NodeReport {
  const report = cniNode({});
  const seen =
    addresses === undefined
      ? report.network.addresses
      : {
          value: addresses.map((address) => ({
            device: 'eth0',
            family: address.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
            address,
            prefix: 24,
            scope: 'global',
          })),
        };
  return { ...report, node, takenAt: OBSERVED, ...change, network: { ...report.network, addresses: seen } };
}

/** Why the report of n1 is not believed; undefined when it is. */
function doubt(report: Observed<NodeReport>, nodes?: Node[], observedAt = OBSERVED): string | undefined {
  const reports = new Map([
    ['n1', report],
    ['n2', { value: reportOf('n2', {}, ['172.17.0.3']) }],
  ]);
  const scene = new Scene(smallWorld([], { observedAt, reports, ...(nodes && { nodes }) }));
  // Whatever is wrong with one, the other is believed.
  expect(scene.nodes.get('n2')!.report).toHaveProperty('value');
  const seen = scene.nodes.get('n1')!.report;
  return 'unknown' in seen ? seen.unknown : undefined;
}

/** Nodes n1 and n2 with these addresses of n1, and what else its kubelet says of it. */
function nodes(addresses: string[], nodeInfo: object = {}, type = 'InternalIP'): Node[] {
  const [first, second] = smallWorld([]).nodes;
  const status = { addresses: addresses.map((address) => ({ type, address })), nodeInfo };
  return [{ ...first!, status } as Node, second!];
}

test('a report that lies under the name of another node is not believed of it', () => {
  expect(doubt({ value: reportOf('n1') })).toBeUndefined();
  expect(doubt({ value: reportOf('n2') })).toBe('the report named for n1 was taken on n2');
});

test('why there is no report stays as it is', () => {
  expect(doubt({ unknown: 'the node does not answer' })).toBe('the node does not answer');
});

describe('a report of another time', () => {
  test.each<[string, string, string | undefined]>([
    ['of the same moment', OBSERVED, undefined],
    ['of this morning', '2026-01-08T06:00:00Z', undefined],
    ['of almost a day ago', '2026-01-07T12:00:01Z', undefined],
    ['of exactly a day ago', '2026-01-07T12:00:00Z', undefined],
    [
      'of a second more',
      '2026-01-07T11:59:59Z',
      'the report is 24 hours old (taken 2026-01-07T11:59:59Z): take a new one',
    ],
    [
      'of more than a day ago',
      '2026-01-07T11:00:00Z',
      'the report is 25 hours old (taken 2026-01-07T11:00:00Z): take a new one',
    ],
    [
      'of a week ago',
      '2026-01-01T12:00:00Z',
      'the report is 168 hours old (taken 2026-01-01T12:00:00Z): take a new one',
    ],
    [
      'of the day after tomorrow',
      '2026-01-10T12:00:00Z',
      'the report was taken 48 hours in the future (2026-01-10T12:00:00Z): a clock is wrong',
    ],
    ['of no time', 'soon', 'the report was taken at "soon", which is not a valid time'],
  ])('%s', (_, takenAt, why) => {
    expect(doubt({ value: reportOf('n1', { takenAt }) })).toBe(why);
  });

  test('is believed where it is not known when the objects were read', () => {
    expect(
      doubt({ value: reportOf('n1', { takenAt: '2020-01-01T00:00:00Z' }) }, undefined, 'soon'),
    ).toBeUndefined();
  });

  test('is one of a bundle only when it is older than the bundle, however old that is', () => {
    const takenAt = '2026-01-01T12:00:00Z';
    const reports = new Map([['n1', { value: reportOf('n1', { takenAt }) }]]);
    const scene = new Scene(smallWorld([], { observedAt: takenAt, reports }));
    expect(scene.nodes.get('n1')!.report).toHaveProperty('value');
  });
});

describe('a report of another machine', () => {
  test.each<[string, string[] | undefined, string[], string | undefined]>([
    ['has the address of its node', ['127.0.0.1', '172.17.0.2'], ['172.17.0.2'], undefined],
    ['has one of two', ['fd00::2'], ['172.17.0.2', 'fd00:0::2'], undefined],
    ['whose addresses were not seen', undefined, ['172.17.0.2'], undefined],
    ['of a node whose addresses are not known', ['10.0.0.1'], [], undefined],
    ['of a node whose addresses are none', ['10.0.0.1'], ['999.1.1.1'], undefined],
    [
      'has that of another node',
      ['127.0.0.1', '172.17.0.3'],
      ['172.17.0.2'],
      'the report was taken on a machine that has no address of n1 (172.17.0.2), but has 172.17.0.3 of n2',
    ],
    [
      'of another cluster',
      ['10.0.0.1'],
      ['172.17.0.2', 'fd00::2'],
      'the report was taken on a machine that has no address of n1 (172.17.0.2, fd00::2)',
    ],
  ])('%s', (_, there, known, why) => {
    expect(doubt({ value: reportOf('n1', {}, there) }, nodes(known))).toBe(why);
  });

  test.each<[string, string | undefined, string[], string | undefined]>([
    ['of its boot, whose address a cloud translates', 'b1', ['127.0.0.1', '10.0.0.1'], undefined],
    [
      'of its boot, with an address of another node, as containers of one machine have',
      'b1',
      ['10.0.0.1', '172.17.0.3'],
      'the report was taken on a machine that has no address of n1 (203.0.113.7), but has 172.17.0.3 of n2',
    ],
    [
      'of a boot that it does not say',
      undefined,
      ['10.0.0.1'],
      'the report was taken on a machine that has no address of n1 (203.0.113.7)',
    ],
  ])('has no address of its node, and is %s', (_, bootId, there, why) => {
    const machine = { kernel: '6.1', architecture: 'x64', elfMachine: 62, ...(bootId && { bootId }) };
    const known = nodes(['203.0.113.7'], { bootID: 'b1' });
    expect(doubt({ value: reportOf('n1', { machine }, there) }, known)).toBe(why);
  });

  test('of a node that the API does not know is believed', () => {
    const [, second] = smallWorld([]).nodes;
    expect(doubt({ value: reportOf('n1', {}, ['10.0.0.1']) }, [second!])).toBeUndefined();
  });

  test('has no address of its node, whose boot the kubelet does not say', () => {
    const machine = { kernel: '6.1', architecture: 'x64', elfMachine: 62, bootId: 'b1' };
    const why = 'the report was taken on a machine that has no address of n1 (203.0.113.7)';
    expect(doubt({ value: reportOf('n1', { machine }, ['10.0.0.1']) }, nodes(['203.0.113.7']))).toBe(why);
  });

  test('has an address of a node without a name', () => {
    const [first, second] = nodes(['203.0.113.7']);
    const nameless = { status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] } } as Node;
    expect(doubt({ value: reportOf('n1', {}, ['10.0.0.1']) }, [first!, second!, nameless])).toContain(
      'but has 10.0.0.1 of ',
    );
  });

  test('an address that is only reached from outside counts, too', () => {
    expect(
      doubt({ value: reportOf('n1', {}, ['1.2.3.4']) }, nodes(['1.2.3.4'], {}, 'ExternalIP')),
    ).toBeUndefined();
  });

  test.each<[string, string | undefined, string | undefined, string | undefined]>([
    ['of the same boot', 'b1', 'b1', undefined],
    ['where the kubelet does not say', undefined, 'b1', undefined],
    ['where the report does not', 'b1', undefined, undefined],
    ['where the kubelet says nothing', '', 'b1', undefined],
    [
      'of another boot',
      'b1',
      'b2',
      'the report was taken on another machine than n1, or before its last boot: it has boot ID b2, but the kubelet reports b1',
    ],
  ])('%s', (_, bootID, bootId, why) => {
    const machine = { kernel: '6.1', architecture: 'x64', elfMachine: 62, ...(bootId && { bootId }) };
    expect(doubt({ value: reportOf('n1', { machine }) }, nodes(['172.17.0.2'], { bootID }))).toBe(why);
  });
});
