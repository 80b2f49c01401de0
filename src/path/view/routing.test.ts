import { describe, expect, test } from 'bun:test';
import type { RouteQuery } from '../../netfilter/index.ts';
import type { NodeReport, PolicyRule } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { NodeView } from './node-view.ts';
import { decideRoute, findRoute, routeTo } from './routing.ts';

type Links = Extract<NodeReport['network']['links'], { value: unknown }>['value'];

const POD = '10.1.0.2';
const CLIENT = '172.17.0.9';

/** A node with routes to the world and to a pod in table main, and others in other tables; `rules`: before those that all nodes have. */
function nodeWith(rules: readonly PolicyRule[] | { unknown: string } | undefined, links?: Links): NodeView {
  const routes: [string, string, string?][] = [
    ['main', '0.0.0.0/0', 'eth0'],
    ['main', `${POD}/32`, 'lxc1'],
    ['2', '0.0.0.0/0', 'eth1'],
    ['3', `${POD}/32`, 'lxc1'],
    ['4', '9.9.9.9/32', 'eth1'],
    ['local', '172.17.0.2/32', 'eth0'],
  ];
  const standard = [
    { priority: 0, table: 'local' },
    { priority: 32766, table: 'main' },
  ];
  const all =
    rules === undefined || 'unknown' in rules
      ? rules
      : { value: [...rules, ...standard].sort((a, b) => a.priority - b.priority) };
  const network: Partial<NodeReport['network']> = {
    addresses: { value: [] },
    routes: {
      value: routes.map(([table, destination, device]) => ({
        family: 'ipv4',
        table,
        destination,
        device: device!,
        type: table === 'local' ? 'local' : 'unicast',
      })),
    },
    ...(all === undefined ? {} : { rules: { ipv4: all, ipv6: { value: [] } } }),
    ...(links === undefined ? {} : { links: { value: links } }),
  };
  return new NodeView('n1', { value: cniNode({}, { network }) });
}

/** Of a packet of a client to the pod, unless a case says otherwise: where it goes, in a word. */
function decided(
  rules: Parameters<typeof nodeWith>[0],
  packet: Partial<RouteQuery> = {},
  links?: Links,
): string {
  const query = {
    family: 'ip',
    source: CLIENT,
    destination: POD,
    inputInterface: 'eth0',
    mark: 0,
    ...packet,
  } as const;
  const decision = decideRoute(nodeWith(rules, links), query);
  if (decision.kind === 'forward') return decision.outputInterface;
  return 'reason' in decision ? `${decision.kind}: ${decision.reason}` : decision.kind;
}

describe('the way of a packet', () => {
  const ELSEWHERE: PolicyRule = { priority: 200, table: '2' };
  const at = (rule: Partial<PolicyRule>): PolicyRule[] => [{ priority: 100, table: '2', ...rule }];

  test.each<[string, Parameters<typeof nodeWith>[0], Partial<RouteQuery>, string]>([
    ['without reported rules', undefined, {}, 'lxc1'],
    ['by the standard rules', [], {}, 'lxc1'],
    ['to the node itself', [], { destination: '172.17.0.2' }, 'local'],
    ['by a rule for all', at({}), {}, 'eth1'],
    ['by its source', at({ source: '172.17.0.0/16' }), {}, 'eth1'],
    ['by another source', at({ source: '10.0.0.0/8' }), {}, 'lxc1'],
    ['by its destination', at({ destination: `${POD}/32` }), {}, 'eth1'],
    ['by a source that it does not have', at({ source: '172.17.0.0/16', inverted: true }), {}, 'lxc1'],
    ['by any source but another', at({ source: '10.0.0.0/8', inverted: true }), {}, 'eth1'],
    ['by the interface that it came in by', at({ inputInterface: 'eth0' }), {}, 'eth1'],
    ['by that of packets of the node', at({ inputInterface: 'lo' }), {}, 'lxc1'],
    ['as one of the node', at({ inputInterface: 'lo' }), { inputInterface: undefined }, 'eth1'],
    ['by an interface that only sockets ask for', at({ outputInterface: 'eth1' }), {}, 'lxc1'],
    ['by a mark that it has', at({ mark: { value: 0x200, mask: 0xf00 } }), { mark: 0x1200 }, 'eth1'],
    ['by a mark that it does not have', at({ mark: { value: 0x200, mask: 0xf00 } }), { mark: 0x400 }, 'lxc1'],
    ['by a table without a route for it', at({ table: '4' }), {}, 'lxc1'],
    ['before the local table', [{ priority: -1, table: '2' }], { destination: '172.17.0.2' }, 'eth1'],
    ['by a table of which the default does not count', at({ suppressPrefixLength: 0 }), {}, 'lxc1'],
    [
      'into a rule that ends it',
      at({ table: undefined, action: 'prohibit' }),
      {},
      'unroutable: no route to 10.1.0.2: policy rule "100: from all prohibit"',
    ],
    [
      'by a mark that is not known',
      at({ mark: { value: 0x200, mask: 0xf00 } }),
      { mark: undefined },
      'unknown: whether policy rule "100: from all fwmark 0x200/0xf00 lookup 2" of n1 applies is not known',
    ],
    ['by what is not known, to the same', at({ others: ['ipproto tcp'], table: '3' }), {}, 'lxc1'],
    [
      'by what is not known, elsewhere',
      at({ others: ['dport 80'] }),
      {},
      'unknown: whether policy rule "100: from all dport 80 lookup 2" of n1 applies is not known',
    ],
    ['by a rule that is nothing', at({ table: undefined, action: 'nop' }), {}, 'lxc1'],
    [
      'by a rule that leads past another',
      [...at({ table: undefined, action: 'goto 32766' }), ELSEWHERE],
      {},
      'lxc1',
    ],
    [
      'by a rule that leads to another',
      [...at({ table: undefined, action: 'goto 200' }), ELSEWHERE],
      {},
      'eth1',
    ],
    [
      'by rules that lead on, from one to the next',
      [...at({ table: undefined, action: 'goto 150' }), { priority: 150, action: 'goto 32766' }, ELSEWHERE],
      {},
      'lxc1',
    ],
    [
      'by a rule that leads nowhere',
      [...at({ table: undefined, action: 'goto 250' }), ELSEWHERE],
      {},
      'eth1',
    ],
    ['by a rule without a target', [...at({ table: undefined, action: 'goto none' }), ELSEWHERE], {}, 'eth1'],
    [
      'by a rule for others that leads past another',
      [...at({ source: '10.0.0.0/8', table: undefined, action: 'goto 32766' }), ELSEWHERE],
      {},
      'eth1',
    ],
    [
      'by a rule that may lead past another',
      [...at({ others: ['dport 80'], table: undefined, action: 'goto 32766' }), ELSEWHERE],
      {},
      'unknown: whether policy rule "100: from all dport 80 goto 32766" of n1 applies is not known',
    ],
    [
      'by a rule that may lead on to the same',
      [
        ...at({ others: ['dport 80'], table: undefined, action: 'goto 32766' }),
        { priority: 200, table: '3' },
      ],
      {},
      'lxc1',
    ],
    [
      'by rules that may both end it',
      [
        ...at({ others: ['dport 80'], table: undefined, action: 'prohibit' }),
        { priority: 200, action: 'blackhole' },
      ],
      {},
      'unroutable: no route to 10.1.0.2: policy rule "200: from all blackhole"',
    ],
    [
      'by a rule of another action',
      at({ table: undefined, action: 'nat' }),
      {},
      'unknown: policy rule "100: from all nat" of n1 is not followed',
    ],
    [
      'into a rule that is unreachable',
      at({ table: undefined, action: 'unreachable' }),
      {},
      'unroutable: no route to 10.1.0.2: policy rule "100: from all unreachable"',
    ],
    [
      'by a rule that does more than to lead on',
      [...at({ table: undefined, action: 'goto 200 and nat' }), ELSEWHERE],
      {},
      'unknown: policy rule "100: from all goto 200 and nat" of n1 is not followed',
    ],
    [
      'by a rule that does something else before it leads on',
      [...at({ table: undefined, action: 'nat goto 200' }), ELSEWHERE],
      {},
      'unknown: policy rule "100: from all nat goto 200" of n1 is not followed',
    ],
    [
      'where the rules are not known',
      { unknown: 'no ip' },
      {},
      'unknown: the policy rules of n1 are not known',
    ],
  ])('%s', (_, rules, packet, where) => {
    expect(decided(rules, packet)).toBe(where);
  });
});

describe('on a node with a VRF', () => {
  /** The rule that comes with the first VRF. */
  const OF_VRFS: PolicyRule = { priority: 1000, others: ['l3mdev'], action: 'lookup [other]' };
  const link = (name: string, more: object = {}) => ({ name, index: 1, up: true, mtu: 1500, ...more });
  const LINKS: Links = [
    link('eth0'),
    link('red', { kind: 'vrf' }),
    link('eth7', { master: 'red' }),
    link('cni0', { kind: 'bridge' }),
    link('veth1', { master: 'cni0' }),
  ];
  const UNTOLD = 'policy rule "1000: from all l3mdev lookup [other]" of n1 is not followed';
  const UNSURE = 'whether policy rule "1000: from all l3mdev lookup [other]" of n1 applies is not known';

  const WITH_TABLE: Links = LINKS.map((each) => (each.name === 'red' ? { ...each, vrfTable: 2 } : each));

  test.each<[string, Links | undefined, RouteQuery['inputInterface'], string]>([
    ['by a device that is in it, whose table is known', WITH_TABLE, 'eth7', 'eth1'],
    ['by the VRF, whose table is known', WITH_TABLE, 'red', 'eth1'],
    ['by a device that is not in it, whose table is known', WITH_TABLE, 'eth0', 'lxc1'],
    ['by a device that is not in it', LINKS, 'eth0', 'lxc1'],
    ['by a device that is in a bridge', LINKS, 'veth1', 'lxc1'],
    ['from the node itself', LINKS, undefined, 'lxc1'],
    ['by a device that is in it', LINKS, 'eth7', `unknown: ${UNTOLD}`],
    ['by the VRF', LINKS, 'red', `unknown: ${UNTOLD}`],
    ['by a device that is not known', LINKS, 'eth9', `unknown: ${UNSURE}`],
    ['by any device, when the VRF is gone', LINKS.slice(0, 1), 'eth9', 'lxc1'],
    ['where the devices are not known', undefined, 'eth0', `unknown: ${UNSURE}`],
  ])('%s', (_, links, inputInterface, where) => {
    expect(decided([OF_VRFS], { inputInterface }, links)).toBe(where);
  });
});

test('for an address alone, rules about packets are skipped, and reported where they make a difference', () => {
  const [plain, bySource] = [nodeWith([]), nodeWith([{ priority: 100, source: '10.0.0.0/8', table: '2' }])];
  expect(routeTo(plain, POD)?.device).toBe('lxc1');
  expect(findRoute(plain, { destination: POD })).toMatchObject({ route: { device: 'lxc1' } });
  expect(routeTo(bySource, POD)?.device).toBe('lxc1');
  expect(findRoute(bySource, { destination: POD })).toEqual({
    doubt: expect.stringContaining('from 10.0.0.0/8'),
  });
  const blind = nodeWith({ unknown: 'no ip' });
  expect(routeTo(blind, POD)?.device).toBe('lxc1');
  expect(findRoute(blind, { destination: POD })).toEqual({ doubt: 'the policy rules of n1 are not known' });
});

describe('the route to an address', () => {
  const at = (destination: string, device: string, more: object = {}) => ({
    family: destination.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
    destination,
    device,
    table: 'main',
    type: 'unicast',
    ...more,
  });
  const node = new NodeView('n1', {
    value: cniNode(
      {},
      {
        network: {
          addresses: {
            value: [{ device: 'eth0', family: 'ipv4', address: '172.17.0.7', prefix: 16, scope: 'global' }],
          },
          routes: {
            value: [
              at('0.0.0.0/0', 'eth0'),
              at('10.0.0.0/8', 'eth1'),
              at('10.1.0.0/16', 'eth2', { metric: 100 }),
              at('10.1.0.0/16', 'eth3', { metric: 50 }),
              at('10.1.2.3/32', 'lxc1'),
              at('10.9.0.0/16', 'eth1', { type: 'unreachable' }),
              at('10.1.2.4/32', 'eth0', { table: 'local', type: 'local' }),
              at('10.1.2.4/32', 'lxc2'),
              at('fd00::/64', 'eth4'),
              at('fd00::5/128', 'lxc5'),
              at('not an address', 'eth9'),
              at('10.3.3.3', 'eth9'),
              at('10.3.0.0/x', 'eth9'),
              at('10.4.0.0/16', 'eth5'),
              at('10.4.0.0/16', 'eth6'),
              at('10.4.0.0/16', 'eth7', { metric: 1 }),
              at('10.5.0.0/16', 'eth5', { metric: 1 }),
              at('10.5.0.0/16', 'eth6'),
              at('10.6.0.0/16', 'eth5', { type: 'throw' }),
              at('10.7.0.0/16', 'eth5', { device: undefined, gateway: '172.17.0.1' }),
              at('10.8.1.1/16', 'eth5'),
              at('172.17.0.7/32', 'eth5'),
            ],
          },
        },
      },
    ),
  });

  test.each<[string, string, string | undefined, string]>([
    ['by the longest prefix', '10.1.2.3', 'lxc1', 'lxc1'],
    ['by the lowest metric', '10.1.7.7', 'eth3', 'eth3'],
    ['by a shorter prefix', '10.200.0.1', 'eth1', 'eth1'],
    ['by the default', '192.0.2.1', 'eth0', 'eth0'],
    ['that is the first of the same metric', '10.4.0.1', 'eth5', 'eth5'],
    ['without a metric, before one with', '10.5.0.1', 'eth6', 'eth6'],
    ['that is left to the next table', '10.6.0.1', undefined, 'unroutable: no route to 10.6.0.1'],
    ['without a device', '10.7.0.1', undefined, 'unknown: the route to 10.7.0.1 has several next hops'],
    ['whose network has bits of a host', '10.8.2.2', 'eth5', 'eth5'],
    ['not by one that is no network', '10.3.3.3', 'eth1', 'eth1'],
    ['to the node itself, whatever its tables say', '172.17.0.7', 'eth5', 'local'],
    ['by the local table first', '10.1.2.4', 'eth0', 'local'],
    ['that ends there', '10.9.0.1', 'eth1', 'unroutable: route to 10.9.0.1 is unreachable'],
    ['of IPv6, by the longest prefix', 'FD00:0::5', 'lxc5', 'lxc5'],
    ['of IPv6', 'fd00::6', 'eth4', 'eth4'],
    ['of IPv6 without a default', 'fd01::1', undefined, 'unroutable: no route to fd01::1'],
    ['of what is no address', 'nowhere', undefined, 'unroutable: no route to nowhere'],
  ])('%s', (_, destination, device, decision) => {
    expect(routeTo(node, destination)?.device).toBe(device as string);
    const family = destination.includes(':') ? 'ip6' : 'ip';
    const source = family === 'ip' ? CLIENT : 'fd00::9';
    const made = decideRoute(node, { family, source, destination, inputInterface: 'eth0', mark: 0 });
    const said =
      made.kind === 'forward'
        ? made.outputInterface
        : 'reason' in made
          ? `${made.kind}: ${made.reason}`
          : made.kind;
    expect(said).toBe(decision);
  });

  test('is none on a node without a report', () => {
    expect(routeTo(new NodeView('n1', { unknown: 'EPERM' }), POD)).toBeUndefined();
  });

  test('is not known where no routes were reported', () => {
    const blind = new NodeView('n1', { value: cniNode({}) });
    expect(routeTo(blind, POD)).toBeUndefined();
    const query = {
      family: 'ip',
      source: CLIENT,
      destination: POD,
      inputInterface: 'eth0',
      mark: 0,
    } as const;
    expect(decideRoute(blind, query)).toEqual({ kind: 'unknown', reason: 'the routes of n1 are not known' });
  });
});

describe('a rule may make no difference', () => {
  const OTHER = { others: ['dport 80'] };
  /** The way of a packet with rules of which one may apply, and with these routes of its table. */
  const way = (route: object, action?: string) => {
    const main = {
      family: 'ipv4' as const,
      destination: '0.0.0.0/0',
      table: 'main',
      type: 'unicast',
      device: 'eth0',
      gateway: '172.17.0.1',
    };
    const rules: PolicyRule[] = [
      action === undefined ? { priority: 100, table: '2', ...OTHER } : { priority: 100, action, ...OTHER },
      { priority: 200, table: 'main' },
    ];
    const routes = [main, { ...main, table: '2', ...route }];
    const network = { routes: { value: routes }, rules: { ipv4: { value: rules }, ipv6: { value: [] } } };
    return findRoute(new NodeView('n1', { value: cniNode({}, { network }) }), {
      ...{ destination: POD, source: CLIENT, inputInterface: 'eth0', mark: 0 },
    });
  };
  const doubt = (rule: string) => ({ doubt: `whether policy rule "${rule}" of n1 applies is not known` });
  const LOOKUP = doubt('100: from all dport 80 lookup 2');

  test.each<[string, ReturnType<typeof way>, object]>([
    ['where its route is the same', way({ metric: 5 }), { route: { device: 'eth0', table: 'main' } }],
    ['not by another device', way({ device: 'eth1' }), LOOKUP],
    ['not by another gateway', way({ gateway: '172.17.0.9' }), LOOKUP],
    ['not by another type', way({ type: 'unreachable' }), LOOKUP],
    ['not by an end', way({}, 'blackhole'), doubt('100: from all dport 80 blackhole')],
    ['not by what is not followed', way({}, 'nat'), doubt('100: from all dport 80 nat')],
  ])('%s', (_, found, expected) => {
    expect(found).toMatchObject(expected);
  });
});

test('where what follows is not known, a rule that may apply does not hide why', () => {
  const rules: PolicyRule[] = [
    { priority: 100, table: '2', others: ['dport 80'] },
    { priority: 200, action: 'nat' },
  ];
  expect(decided(rules)).toBe('unknown: policy rule "200: from all nat" of n1 is not followed');
});
