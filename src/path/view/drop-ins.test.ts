import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import type { NodeReport } from '../model/node-report.ts';
import { cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
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
