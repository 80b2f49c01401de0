// Runtimes and plugins read keys whatever their case: what has an effect on the node has it in the diagnosis.
import { describe, expect, test } from 'bun:test';
import { parseNetworkConfig } from '../../cni/conflist.ts';
import { diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import { cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { portmapIn } from './node-view.ts';

const PRIMARY = { type: 'cilium-cni' };

function world(portmap: object, loaded: object = portmap) {
  const report = cniNode(
    { '10-net.conflist': listOf([PRIMARY, portmap]) },
    { loaded: listOf([PRIMARY, loaded]) },
  );
  return smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) });
}

function configured(portmap: object, loaded?: object): string[] {
  return diagnose(world(portmap, loaded))
    .diagnosis.findings.filter(({ stage }) => ['configured', 'installed'].includes(stage))
    .map(({ code, severity }) => `${severity} ${code}`);
}

const OFF = { portMappings: false };
const ON = { portMappings: true };

describe('an entry of portmap', () => {
  test.each<[object, string[]]>([
    [{ type: 'portmap', capabilities: ON }, []],
    [{ Type: 'portmap', Capabilities: ON }, []],
    // Keys of a map are another matter.
    [{ type: 'portmap', capabilities: { portmappings: true } }, ['broken capability-missing']],
    // libcni sorts the keys: the lower-case one comes last and takes effect.
    [{ type: 'portmap', capabilities: OFF, Capabilities: ON }, ['broken capability-missing']],
    [{ type: 'portmap', Capabilities: OFF, capabilities: ON }, []],
  ])('%j: %j', (portmap, codes) => {
    expect(configured(portmap)).toEqual(codes);
  });

  test('has the fields that portmap reads', () => {
    const list = parseNetworkConfig(
      listOf([PRIMARY, { TYPE: 'portmap', Backend: 'nftables', SNAT: false }]),
      'a.conflist',
    );
    expect(portmapIn(list.plugins)?.fields).toEqual({ TYPE: 'portmap', backend: 'nftables', snat: false });
  });

  test('as the runtime has it loaded', () => {
    expect(configured({ type: 'portmap' }, { Type: 'portmap', CAPABILITIES: ON })).toEqual([
      'risk capability-missing',
    ]);
  });
});

test('a remedy changes the key that is there, whatever its case', () => {
  const portmap = { Type: 'portmap', Capabilities: OFF, Snat: false, note: 1 };
  const [planned] = planHeal(diagnose(world(portmap)), { restart: true });
  const [step] = planned!.steps;
  expect(step?.on === 'node' && step.action.do === 'write-file' && JSON.parse(step.action.content)).toEqual({
    cniVersion: '1.0.0',
    name: 'net',
    plugins: [PRIMARY, { type: 'portmap', capabilities: ON, snat: false, note: 1 }],
  });
});
