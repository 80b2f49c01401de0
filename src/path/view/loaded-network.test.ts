import { describe, expect, test } from 'bun:test';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { loadedMapsPorts, loadedNetwork } from './loaded-network.ts';
import { NodeView } from './node-view.ts';

interface Loaded {
  name: string;
  config: string;
  plugins?: string[];
}

const LOOPBACK: Loaded = { name: 'cni-loopback', config: listOf([{ type: 'loopback' }]) };
const PORTMAP = CHAINED[1]!;
const PLAIN = CHAINED[0]!;
const net = (config: string, plugins?: object[]): Loaded => ({
  name: 'net',
  config,
  ...(plugins === undefined ? {} : { plugins: plugins.map((plugin) => JSON.stringify(plugin)) }),
});

/** A node whose runtime has these networks loaded, and whose plugins speak 0.4.0 and 1.0.0. */
function nodeWith(networks: Loaded[] | undefined): NodeView {
  const report = cniNode({}, { loaded: '' });
  if ('value' in report.runtime) {
    report.runtime.value.loadedNetworks =
      networks === undefined ? { unknown: 'not reported' } : { value: networks };
  }
  return new NodeView('n1', { value: report });
}

describe('the network that pods get', () => {
  test.each<[string, Loaded[] | undefined, [string, string[] | undefined] | undefined]>([
    [
      'is the first that is more than the loopback',
      [LOOPBACK, net(listOf(CHAINED))],
      ['net', ['cilium-cni', 'portmap']],
    ],
    [
      'is one with the loopback among others',
      [net(listOf([{ type: 'loopback' }, PLAIN])), { ...net(listOf(CHAINED)), name: 'later' }],
      ['net', ['loopback', 'cilium-cni']],
    ],
    [
      'may be a single configuration',
      [net(JSON.stringify({ name: 'net', ...PLAIN }))],
      ['net', ['cilium-cni']],
    ],
    [
      'has the plugins that are reported of it',
      [net(listOf([PLAIN]), CHAINED)],
      ['net', ['cilium-cni', 'portmap']],
    ],
    [
      'has those of them that can be read',
      [{ ...net(listOf([PLAIN])), plugins: [JSON.stringify(PLAIN), '{'] }],
      ['net', ['cilium-cni']],
    ],
    ['may be in a form that is not compared', [net('not JSON')], ['net', undefined]],
    ['is none where there is only the loopback', [LOOPBACK], undefined],
    ['is none where there is none', [], undefined],
    ['is not known where none is reported', undefined, undefined],
  ])('%s', (_, networks, expected) => {
    const found = loadedNetwork(nodeWith(networks));
    expect(found && [found.name, found.plugins?.map(({ type }) => type)]).toEqual(expected as never);
    if (found !== undefined) expect(found.config).toBe(networks!.find(({ name }) => name === 'net')!.config);
  });

  test('is not known of a node without a report or a runtime', () => {
    expect(loadedNetwork(new NodeView('n1', { unknown: 'EPERM' }))).toBeUndefined();
    expect(loadedNetwork(new NodeView('n1', { value: cniNode({}) }))).toBeUndefined();
  });
});

describe('what is loaded maps ports', () => {
  const single = (more: object) => JSON.stringify({ name: 'net', ...more });
  test.each<[string, Loaded[], boolean]>([
    ['with portmap in the chain', [net(listOf(CHAINED))], true],
    ['with portmap behind others', [net(listOf([PLAIN, { type: 'tuning' }, PORTMAP]))], true],
    ['with portmap among the plugins that are reported', [net(listOf([PLAIN]), CHAINED)], true],
    [
      'without portmap',
      [net(listOf([PLAIN, { type: 'tuning', capabilities: { portMappings: true } }]))],
      false,
    ],
    ['with portmap without its capability', [net(listOf([PLAIN, { type: 'portmap' }]))], false],
    [
      'with the capability off',
      [net(listOf([PLAIN, { type: 'portmap', capabilities: { portMappings: false } }]))],
      false,
    ],
    ['with portmap alone', [net(listOf([PORTMAP]))], false],
    ['with portmap first', [net(listOf([PORTMAP, PLAIN]))], false],
    ['with portmap first and last', [net(listOf([PORTMAP, PLAIN, PORTMAP]))], false],
    [
      'with a first plugin that can map ports, too',
      [net(listOf([{ ...PLAIN, ...PORTMAP, type: 'x' }, PORTMAP]))],
      true,
    ],
    ['with nothing', [], false],
    ['with what cannot be read', [net('{')], false],
    ['in a version that a plugin does not speak', [net(listOf(CHAINED, { cniVersion: '0.3.1' }))], false],
    ['in another that they speak', [net(listOf(CHAINED, { cniVersion: '0.4.0' }))], true],
    ['in the oldest version, which none speaks', [net(listOf(CHAINED, { cniVersion: '' }))], false],
    [
      'with a plugin whose versions are not known',
      [
        net(listOf([{ type: 'bridge' }, { type: 'tuning' }], { cniVersion: '0.3.1' }), [
          { type: 'bridge' },
          PORTMAP,
        ]),
      ],
      false,
    ],
    ['with plugins of which only the first is not there', [net(listOf([{ type: 'bridge' }, PORTMAP]))], true],
    [
      'in a single configuration with more plugins that are reported',
      [net(single({ ...PLAIN, cniVersion: '1.0.0' }), CHAINED)],
      true,
    ],
    [
      'in a single configuration of a version that they do not speak',
      [net(single({ ...PLAIN, cniVersion: '0.3.1' }), CHAINED)],
      false,
    ],
    ['where the version cannot be read', [net('{', CHAINED)], true],
  ])('%s', (_, networks, expected) => {
    expect(loadedMapsPorts(nodeWith(networks))).toBe(expected);
  });

  test('with plugins whose versions were not seen', () => {
    const report = cniNode(
      {},
      { loaded: listOf(CHAINED, { cniVersion: '0.3.1' }), cni: { plugins: { unknown: '' } } },
    );
    expect(loadedMapsPorts(new NodeView('n1', { value: report }))).toBe(true);
  });
});
