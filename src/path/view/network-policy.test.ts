import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import type { NetworkPolicy } from '../model/world.ts';
import { mapped, type Otherwise } from '../testing/mapped-node.ts';
import { podOn } from '../testing/small-world.ts';
import { type Denial, denialOf, shutOutBy } from './network-policy.ts';

/** Of the other node, by which a machine outside is judged. */
const OUTSIDE = '172.17.0.3';

const policy = (spec: Record<string, unknown>, namespace = 'default', name = 'p'): NetworkPolicy => ({
  metadata: { name, namespace },
  spec,
});
const labelled: Otherwise['pod'] = (pod) => {
  pod.metadata!.labels = { app: 'echo', tier: 'front' };
};

function denied(policies: NetworkPolicy[], otherwise: Otherwise = {}): Denial | undefined {
  const { path, scene } = mapped({ pod: labelled, ...otherwise, world: { policies, ...otherwise.world } });
  return denialOf(path, scene);
}

const isDenied = (spec: Record<string, unknown>, otherwise?: Otherwise) =>
  denied([policy(spec)], otherwise) !== undefined;

describe('a policy that admits nobody', () => {
  const expression = (key: string, operator: string, values?: string[]) => ({
    podSelector: { matchExpressions: [{ key, operator, ...(values === undefined ? {} : { values }) }] },
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ['for all pods', {}, true],
    ['for all pods, by an empty selector', { podSelector: {} }, true],
    ['for its label', { podSelector: { matchLabels: { app: 'echo' } } }, true],
    ['for both its labels', { podSelector: { matchLabels: { app: 'echo', tier: 'front' } } }, true],
    [
      'for one of its labels and another',
      { podSelector: { matchLabels: { app: 'echo', tier: 'back' } } },
      false,
    ],
    ['for a label that it does not have', { podSelector: { matchLabels: { zone: 'a' } } }, false],
    ['for a label of these values', expression('app', 'In', ['echo', 'web']), true],
    ['for a label of other values', expression('app', 'In', ['web']), false],
    ['for a label of values that it does not have', expression('zone', 'In', ['a']), false],
    ['for a label of no values', expression('app', 'In'), false],
    ['for a label not of these values', expression('app', 'NotIn', ['echo']), false],
    ['for a label not of other values', expression('app', 'NotIn', ['web']), true],
    ['for those without the label or of other values', expression('zone', 'NotIn', ['a']), true],
    ['for those with the label', expression('app', 'Exists'), true],
    ['for those with a label that it does not have', expression('zone', 'Exists'), false],
    ['for those without the label', expression('app', 'DoesNotExist'), false],
    ['for those without a label that it does not have', expression('zone', 'DoesNotExist'), true],
    ['by an operator that is not known', expression('app', 'Like', ['echo']), false],
    [
      'for its label and an expression that does not fit',
      { podSelector: { matchLabels: { app: 'echo' }, ...expression('app', 'DoesNotExist').podSelector } },
      false,
    ],
    ['of what comes in', { policyTypes: ['Ingress'] }, true],
    ['of both ways', { policyTypes: ['Egress', 'Ingress'] }, true],
    ['of what goes out', { policyTypes: ['Egress'] }, false],
    ['that cannot be read', { policyTypes: 'Ingress' }, false],
    ['with no rule', { ingress: [] }, true],
  ])('%s', (_, spec, expected) => {
    expect(isDenied(spec)).toBe(expected);
  });

  test('of another namespace is not of the pod', () => {
    expect(denied([policy({}, 'other')])).toBeUndefined();
  });

  test('without anything is of no pod', () => {
    expect(denied([{}])).toBeUndefined();
  });

  test('is of a pod without labels, too', () => {
    const none: Otherwise = { pod: () => {} };
    expect(isDenied({}, none)).toBe(true);
    expect(isDenied(expression('app', 'DoesNotExist'), none)).toBe(true);
    expect(isDenied({ podSelector: { matchLabels: { app: 'echo' } } }, none)).toBe(false);
  });

  test('is not known to deny where no machine outside is known', () => {
    const world = {
      nodes: [
        { metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '172.17.0.2' }] } },
      ],
    };
    const report: Otherwise['report'] = ({ network }) => {
      network.routes = { value: [] };
    };
    expect(isDenied({}, { world })).toBe(true);
    expect(isDenied({}, { world, report })).toBe(false);
  });
});

describe('a policy that admits', () => {
  const block = (cidr: string, except?: string[]) => ({
    ingress: [{ from: [{ ipBlock: { cidr, ...(except === undefined ? {} : { except }) } }] }],
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ['everybody', { ingress: [{}] }, false],
    ['everybody, by an empty list', { ingress: [{ from: [] }] }, false],
    ['pods', { ingress: [{ from: [{ podSelector: {} }] }] }, true],
    ['the network outside', block('172.17.0.0/16'), false],
    ['all networks', block('0.0.0.0/0'), false],
    ['the machine outside', block(`${OUTSIDE}/32`), false],
    ['the machine beside it', block('172.17.0.2/32'), true],
    ['a network of an odd length, with it', block('172.17.0.2/31'), false],
    ['a network of an odd length, without it', block('172.17.0.4/31'), true],
    ['another network', block('192.0.2.0/24'), true],
    ['a network of the other family', block('::/0'), true],
    ['what is no network', block('somewhere'), true],
    ['the network without the machine', block('172.17.0.0/16', ['192.0.2.0/24', `${OUTSIDE}/32`]), true],
    ['the network without others', block('172.17.0.0/16', ['172.17.0.2/32']), false],
    [
      'pods or the network',
      { ingress: [{ from: [{ podSelector: {} }, { ipBlock: { cidr: '172.17.0.0/16' } }] }] },
      false,
    ],
    ['pods, and by another rule all', { ingress: [{ from: [{ podSelector: {} }] }, {}] }, false],
  ])('%s', (_, spec, expected) => {
    expect(isDenied(spec)).toBe(expected);
  });

  test('IPv6 networks are of IPv6 machines', () => {
    const v6: Otherwise = { families: ['ipv6'] };
    expect(isDenied(block('fd00::/64'), v6)).toBe(false);
    expect(isDenied(block('fd00:0:0:1::/64'), v6)).toBe(true);
    expect(isDenied(block('0.0.0.0/0'), v6)).toBe(true);
  });
});

describe('a policy that admits to ports', () => {
  const ports = (...entries: object[]) => ({ ingress: [{ ports: entries }] });
  const named = (pod: Pod, port: object) => Object.assign(pod.spec!.containers[0]!.ports![0]!, port);

  test.each<[string, Record<string, unknown>, Otherwise['pod'] | undefined, boolean]>([
    ['all, by an empty list', ports(), undefined, false],
    ['its port', ports({ port: 8080 }), undefined, false],
    ['the port of its host', ports({ port: 80 }), undefined, true],
    ['a range that begins with it', ports({ port: 8080, endPort: 8090 }), undefined, false],
    ['a range that ends with it', ports({ port: 8000, endPort: 8080 }), undefined, false],
    ['a range before it', ports({ port: 8000, endPort: 8079 }), undefined, true],
    ['a range behind it', ports({ port: 8081, endPort: 8090 }), undefined, true],
    ['all of its protocol', ports({ protocol: 'TCP' }), undefined, false],
    ['all of TCP, when nothing is said', ports({}), undefined, false],
    ['its port of another protocol', ports({ protocol: 'UDP', port: 8080 }), undefined, true],
    ['others and its own', ports({ port: 1 }, { port: 8080 }), undefined, false],
    ['its port by name', ports({ port: 'web' }), (pod) => named(pod, { name: 'web' }), false],
    ['another by name', ports({ port: 'metrics' }), (pod) => named(pod, { name: 'web' }), true],
    ['a name that no port has', ports({ port: 'web' }), undefined, true],
    [
      'a name of its port in another protocol',
      ports({ port: 'web' }),
      (pod) => {
        pod.spec!.containers[0]!.ports!.push({ name: 'web', containerPort: 8080, protocol: 'UDP' });
      },
      true,
    ],
    [
      'a name of another port',
      ports({ port: 'web' }),
      (pod) => {
        pod.spec!.containers[0]!.ports!.push({ name: 'web', containerPort: 9090 });
      },
      true,
    ],
    [
      'a name in another container, beside one without ports',
      ports({ port: 'web' }),
      (pod) => {
        pod.spec!.containers.unshift({ name: 'none' });
        pod.spec!.containers.push({ name: 'd', ports: [{ name: 'web', containerPort: 8080 }] });
      },
      false,
    ],
  ])('%s', (_, spec, pod, expected) => {
    expect(isDenied(spec, pod === undefined ? {} : { pod })).toBe(expected);
  });

  test.each<[string, object, boolean]>([
    ['its own', { protocol: 'UDP', port: 8080 }, false],
    ['TCP by default', { port: 8080 }, true],
  ])('of a mapping of UDP: %s', (_, entry, expected) => {
    expect(isDenied(ports(entry), { protocol: 'UDP' })).toBe(expected);
  });
});

describe('a denial', () => {
  const block = policy({ ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }] }, 'default', 'block');
  const inside = policy({ ingress: [{ from: [{ podSelector: {} }] }] }, 'default', 'inside');
  const other = policy({ podSelector: { matchLabels: { app: 'other' } } }, 'default', 'other');
  const port = policy(
    { ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }], ports: [{ port: 1 }] }] },
    'default',
    'port',
  );

  test.each<[string, NetworkPolicy[], string[], boolean]>([
    ['has the policies of the pod', [inside, other, block], ['inside', 'block'], true],
    ['admits no others', [inside], ['inside'], false],
    ['admits no others where it admits them to another port', [port], ['port'], false],
    ['admits no others where it admits nobody', [policy({})], ['p'], false],
  ])('%s', (_, policies, names, admitsOthers) => {
    const denial = denied(policies)!;
    expect(denial.policies.map(({ metadata }) => metadata!.name)).toEqual(names as never);
    expect(denial.admitsOthers).toBe(admitsOthers);
  });

  test('is none where one of several policies admits', () => {
    expect(denied([inside, policy({ ingress: [{}] })])).toBeUndefined();
    expect(denied([])).toBeUndefined();
  });

  const TIMEOUT = { outcome: 'timeout' } as const;
  test.each<[string, Otherwise['probes'], boolean]>([
    ['where all others get no answer', { direct: {}, outside: TIMEOUT, 'other-node': TIMEOUT }, true],
    ['where one gets no answer', { direct: {}, outside: { outcome: 'refused' } }, true],
    ['not where one of others gets one', { direct: {}, outside: TIMEOUT, 'other-node': {} }, false],
    ['not where the application does not answer', { direct: TIMEOUT, outside: TIMEOUT }, false],
    ['not where the application was not asked', { outside: TIMEOUT }, false],
    ['not where no other asked', { direct: {}, node: TIMEOUT }, false],
    ['not where it is not known', { direct: {}, outside: { outcome: 'unknown' } }, false],
  ])('shuts others out %s', (_, probes, expected) => {
    const { path, scene } = mapped({ probes: probes!, world: { policies: [inside] } });
    expect(shutOutBy(path, scene) !== undefined).toBe(expected);
    const free = mapped({ probes: probes! });
    expect(shutOutBy(free.path, free.scene)).toBeUndefined();
  });
});

test('the policies of a pod without a node are those of its namespace', () => {
  expect(isDenied({}, { world: { pods: [podOn(undefined, 'a', 80)] } })).toBe(true);
});
