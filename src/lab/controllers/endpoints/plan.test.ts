import { describe, expect, test } from 'bun:test';
import type { EndpointSlice, Pod, Service } from '../../../kube/types.ts';
import { endpointsSubsets, planSlices, podsBehind, sliceContents, targetPort } from './plan.ts';

const service = (spec: object = {}): Service =>
  ({
    metadata: { name: 's', namespace: 'ns' },
    spec: { selector: { app: 'a' }, ports: [{ port: 80 }], ...spec },
  }) as Service;
interface Traits {
  ready?: boolean;
  phase?: string;
  deleting?: boolean;
  ip?: string;
  label?: string;
  port?: number;
  namespace?: string;
}
function pod(name: string, traits: Traits = {}): Pod {
  const {
    ready = true,
    phase = 'Running',
    deleting = false,
    ip = `10.0.0.${name}`,
    label = 'a',
    port = 8080,
    namespace = 'ns',
  } = traits;
  return {
    metadata: {
      name,
      namespace,
      uid: name,
      labels: { app: label },
      ...(deleting ? { deletionTimestamp: 'x' as never } : {}),
    },
    spec: { nodeName: 'n', containers: [{ name: 'c', ports: [{ name: 'web', containerPort: port }] }] },
    status: { phase, podIP: ip, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

test('behind a Service are selected pods of its namespace that have an address and have not ended', () => {
  const all = [
    pod('2'),
    pod('1'),
    pod('3', { label: 'b' }),
    pod('4', { ip: '' }),
    pod('5', { phase: 'Succeeded' }),
    pod('6', { namespace: 'other' }),
    pod('7', { deleting: true }),
  ];
  expect(podsBehind(service(), all).map((each) => each.metadata!.name)).toEqual(['1', '2', '7']);
  expect(podsBehind(service({ selector: {} }), all)).toEqual([]);
});

test.each([
  [{ port: 80 }, 80],
  [{ port: 80, targetPort: 8080 }, 8080],
  [{ port: 80, targetPort: '8080' }, 8080],
  [{ port: 80, targetPort: 'web' }, 8080],
  [{ port: 80, targetPort: 'web', protocol: 'UDP' }, undefined],
  [{ port: 80, targetPort: 'none' }, undefined],
])('target of %j is %p', (port, expected) => expect(targetPort(port, pod('1'))).toBe(expected));

describe('Endpoints', () => {
  const addresses = (subset: ReturnType<typeof endpointsSubsets>[number] | undefined) => [
    subset?.addresses?.map(({ ip }) => ip) ?? [],
    subset?.notReadyAddresses?.map(({ ip }) => ip) ?? [],
  ];
  const all = [pod('1'), pod('2', { ready: false }), pod('3', { deleting: true })];

  test('keep those that are not ready apart, and leave out those that end', () => {
    expect(addresses(endpointsSubsets(service(), all)[0])).toEqual([['10.0.0.1'], ['10.0.0.2']]);
  });

  test('unless not-ready addresses are to be published', () => {
    const anyway = service({ publishNotReadyAddresses: true });
    expect(addresses(endpointsSubsets(anyway, all)[0])).toEqual([['10.0.0.1', '10.0.0.2', '10.0.0.3'], []]);
  });

  test('pods with other numbers for a named port are a subset of their own', () => {
    const named = service({ ports: [{ name: 'http', port: 80, targetPort: 'web' }] });
    const subsets = endpointsSubsets(named, [pod('1'), pod('2', { port: 9090 })]);
    expect(subsets.map((subset) => subset.ports)).toEqual([
      [{ name: 'http', port: 8080, protocol: 'TCP' }],
      [{ name: 'http', port: 9090, protocol: 'TCP' }],
    ]);
  });
});

describe('EndpointSlices', () => {
  test('say of each endpoint whether it is ready, serves, and ends', () => {
    const [content] = sliceContents(service(), [
      pod('1'),
      pod('2', { ready: false }),
      pod('3', { deleting: true }),
    ]);
    expect(content!.endpoints.map(({ conditions }) => conditions)).toEqual([
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
    ]);
  });

  test('hold a hundred at most', () => {
    const many = Array.from({ length: 250 }, (_, i) => pod(String(i).padStart(3, '0')));
    expect(sliceContents(service(), many).map(({ endpoints }) => endpoints.length)).toEqual([100, 100, 50]);
  });

  test('what is right stays, the changed one gets new content, the rest goes', () => {
    const [first, second] = [[pod('1')], [pod('2', { port: 9 })]].map(
      (pods) => sliceContents(service({ ports: [{ port: 80, targetPort: 'web' }] }), pods)[0]!,
    );
    const slice = (name: string, content: typeof first): EndpointSlice =>
      ({ metadata: { name }, addressType: 'IPv4', ...content }) as EndpointSlice;
    const right = slice('right', first);
    const surplus = slice('surplus', second);
    expect(planSlices([right, surplus], [first!])).toEqual({ create: [], update: [], delete: [surplus] });
    const emptied = { ...first!, endpoints: [] };
    expect(planSlices([right], [emptied])).toEqual({
      create: [],
      update: [{ slice: right, content: emptied }],
      delete: [],
    });
    expect(planSlices([right], [first!, second!])).toEqual({ create: [second!], update: [], delete: [] });
  });
});
