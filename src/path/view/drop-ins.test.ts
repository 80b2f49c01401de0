import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import type { NodeReport } from '../model/node-report.ts';
import { cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { dropInsOf } from './drop-ins.ts';
import { NodeView } from './node-view.ts';

const PRIMARY = { type: 'bridge' };
const PORTMAP = { type: 'portmap', capabilities: { portMappings: true } };

type DropIns = NonNullable<NodeReport['cni']['dropIns']>;

function reportWith(
  files: DropIns[number]['files'],
  more: object = {},
  loaded?: { config: string; plugins?: string[] },
  name = '10-net.conflist',
  version = '2.1.0',
): NodeReport {
  const report = cniNode(
    { [name]: listOf([PRIMARY], more) },
    {
      cni: { dropIns: [{ network: 'net', files }] },
      loaded: loaded?.config ?? listOf([PRIMARY], more),
      version,
    },
  );
  if (loaded?.plugins !== undefined && 'value' in report.runtime) {
    report.runtime.value.loadedNetworks = { value: [{ name: 'net', ...loaded }] };
  }
  return report;
}

const chainOf = (report: NodeReport) =>
  new NodeView('n1', { value: report }).chain?.map(({ type }) => type).join(' ');

const portmapFile = { value: [confFile('50-portmap.conf', JSON.stringify(PORTMAP))] };
const own = listOf([PRIMARY]);

describe('the chain of a list with a drop-in directory', () => {
  test.each<[string, NodeReport, string | undefined]>([
    ['continues with what is there', reportWith(portmapFile), 'bridge portmap'],
    [
      'in the order of the names, files of another kind left out',
      reportWith({
        value: [
          confFile('20-b.conf', '{"type":"b"}'),
          confFile('10-a.conf', '{"type":"a"}'),
          confFile('15-c.json', '{"type":"c"}'),
        ],
      }),
      'bridge a b',
    ],
    [
      'ends with the list when that says so',
      reportWith(portmapFile, { loadOnlyInlinedPlugins: true }),
      'bridge',
    ],
    [
      'continues for a runtime that has not read it yet',
      reportWith(portmapFile, {}, { config: own }),
      'bridge portmap',
    ],
    [
      'ends with it for one that is too old',
      reportWith(portmapFile, {}, { config: own }, '10-net.conflist', 'v2.0.7'),
      'bridge',
    ],
    [
      'is not known for one of which that is not',
      reportWith(portmapFile, {}, { config: own }, '10-net.conflist', 'devel'),
      undefined,
    ],
    [
      'continues for one that has',
      reportWith(
        portmapFile,
        {},
        { config: own, plugins: [JSON.stringify(PRIMARY), JSON.stringify(PORTMAP)] },
      ),
      'bridge portmap',
    ],
    ['is not known when what is there could not be read', reportWith({ unknown: 'EACCES' }), undefined],
    [
      'is not known when one of them could not',
      reportWith({ value: [{ ...confFile('50-portmap.conf', ''), content: { unknown: 'EACCES' } }] }),
      undefined,
    ],
    [
      'is not known when one of them is broken',
      reportWith({ value: [confFile('50-portmap.conf', '{')] }),
      undefined,
    ],
  ])('%s', (_, report, chain) => {
    expect(chainOf(report)).toBe(chain);
  });
});

function planned(report: NodeReport) {
  const world = smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) });
  return planHeal(diagnose(world), { restart: true })
    .filter(({ finding }) => finding.stage === 'configured')
    .map(({ finding, steps, left }) => [finding.code, steps.length, left?.why] as const);
}

describe('what is found of it', () => {
  test.each<[string, NodeReport, ReturnType<typeof planned>]>([
    ['that the runtime has not read it', reportWith(portmapFile), [['conflist-not-loaded', 1, undefined]]],
    [
      'nothing, where it has',
      reportWith(
        portmapFile,
        {},
        { config: own, plugins: [JSON.stringify(PRIMARY), JSON.stringify(PORTMAP)] },
      ),
      [],
    ],
    ['nothing, where it was not seen', reportWith({ unknown: 'EACCES' }), []],
    [
      'a fault is fixed where it is, by hand',
      reportWith({ value: [confFile('50-portmap.conf', '{"type":"portmap"}')] }),
      [
        [
          'capability-missing',
          0,
          'the chain of 10-net.conflist continues in /etc/cni/net.d/net/50-portmap.conf: declare the capability in 10-net.conflist, in whichever of these files it belongs',
        ],
      ],
    ],
    [
      'so it is where an operator writes the list, and a copy of that would have the same chain',
      reportWith(
        { value: [confFile('50-portmap.conf', '{"type":"portmap"}')] },
        {},
        undefined,
        '10-calico.conflist',
      ),
      [
        [
          'capability-missing',
          0,
          'the chain of 10-calico.conflist continues in /etc/cni/net.d/net/50-portmap.conf: declare the capability in 10-calico.conflist, in whichever of these files it belongs',
        ],
      ],
    ],
    [
      'a broken file of it',
      reportWith({ value: [confFile('50-portmap.conf', '{')] }),
      [['conflist-invalid', 0, expect.any(String) as never]],
    ],
  ])('%s', (_, report, findings) => {
    expect(planned(report)).toEqual(findings);
  });
});

describe('the files of a drop-in directory', () => {
  const MAYBE = { unknown: 'whether the runtime reads net/50-portmap.conf is not known' };
  const READ = { value: [{ name: 'net/50-portmap.conf', text: JSON.stringify(PORTMAP) }] };
  const of = (
    name: string,
    version: string,
    files: DropIns[number]['files'] = portmapFile,
    network = 'net',
  ) => {
    const report = reportWith(files, {}, { config: own }, '10-net.conflist', version);
    if ('value' in report.runtime) report.runtime.value.name = name;
    return dropInsOf(report, network);
  };

  test.each<[string, string, object]>([
    ['containerd', '2.1.0', READ],
    ['containerd', 'v2.1.0', READ],
    ['containerd', '2.10.0', READ],
    ['containerd', '2.0.9', { value: [] }],
    ['containerd', '1.7.20', { value: [] }],
    ['containerd', 'x2.1', MAYBE],
    ['containerd', '2', MAYBE],
    ['cri-o', '1.34.0', READ],
    ['cri-o', '1.33.5', MAYBE],
    ['cri-o', '1.32.0', MAYBE],
    ['cri-o', '1.31.9', { value: [] }],
    ['cri-o', '1.9.0', { value: [] }],
    ['docker', '99.0', MAYBE],
  ])('are read by %s %s: %j', (name, version, expected) => {
    expect(of(name, version)).toEqual(expected as never);
  });

  test('are none where there are none, whatever the runtime', () => {
    expect(of('docker', '1.0', { value: [] })).toEqual({ value: [] });
    expect(of('containerd', '2.1.0', portmapFile, 'other')).toEqual({ value: [] });
    expect(dropInsOf(cniNode({}), 'net')).toEqual({ value: [] });
  });

  test('that were not seen are none to a runtime that does not read them', () => {
    expect(of('containerd', '2.0.0', { unknown: 'EACCES' })).toEqual({ value: [] });
    expect(of('containerd', '2.1.0', { unknown: 'EACCES' })).toEqual({ unknown: 'EACCES' });
  });

  test('of another kind are not read', () => {
    expect(of('docker', '1.0', { value: [confFile('README.md', '')] })).toEqual({ value: [] });
  });

  test('are of which one could not be read, or is no configuration', () => {
    const file = { ...confFile('a.conf', ''), content: { unknown: 'a.conf: cut' } };
    expect(of('containerd', '2.1.0', { value: [file] })).toEqual({ unknown: 'net/a.conf: a.conf: cut' });
    expect(of('containerd', '2.1.0', { value: [{ ...file, broken: true }] })).toEqual({
      value: [{ name: 'net/a.conf', text: '', broken: 'net/a.conf: cut' }],
    });
  });

  test('are read by whatever runtime has loaded some of this network', () => {
    const report = reportWith(portmapFile, {}, { config: own, plugins: [] }, '10-net.conflist', 'devel');
    expect(dropInsOf(report, 'net')).toEqual(READ);
    if ('value' in report.runtime && 'value' in report.runtime.value.loadedNetworks) {
      report.runtime.value.loadedNetworks.value[0]!.name = 'other';
    }
    expect(dropInsOf(report, 'net')).toEqual(MAYBE);
  });

  test('are not known to be read by a runtime that was not seen', () => {
    expect(dropInsOf({ ...reportWith(portmapFile), runtime: { unknown: 'no runtime' } }, 'net')).toEqual(
      MAYBE,
    );
  });
});
