import { expect, test } from 'bun:test';
import type { Pod, Service } from '../../kube/types.ts';
import type { TranslationCandidate } from '../../netfilter/index.ts';
import { mappedWorld, NODE } from '../testing/mapped-node.ts';
import { Scene } from './scene.ts';
import { isOfService, serviceName, servicesAt } from './services.ts';

const service = (spec: object, metadata: object = {}, status: object = {}): Service =>
  ({
    metadata: { namespace: 'shop', name: 'web', ...metadata },
    spec: { ports: [{ port: 80, targetPort: 8080 }], ...spec },
    status,
  }) as Service;
const EXTERNAL = { externalIPs: [NODE.ipv4] };

/** The pod has a label. */
const labelled = (pod: Pod): void => {
  pod.metadata!.labels = { app: 'a' };
};

/** The Services that the mapping of TCP 80 shares its port with: how, and where. */
function shared(services: Service[], otherwise: Parameters<typeof mappedWorld>[0] = {}): string[] {
  const scene = new Scene(mappedWorld({ ...otherwise, world: { services, ...otherwise?.world } }));
  return scene.paths.flatMap((path) =>
    servicesAt(path, scene).map(({ kind, address = 'everywhere' }) => `${kind} ${address}`),
  );
}

test.each<[string, Parameters<typeof shared>, string[]]>([
  ['an external IP', [[service(EXTERNAL)]], ['external IP 172.17.0.2']],
  ['another port', [[service({ ...EXTERNAL, ports: [{ port: 81 }] })]], []],
  ['another protocol', [[service({ ...EXTERNAL, ports: [{ port: 80, protocol: 'UDP' }] })]], []],
  [
    'the second of its ports',
    [[service({ ...EXTERNAL, ports: [{ port: 81 }, { port: 80 }] })]],
    ['external IP 172.17.0.2'],
  ],
  ['another address', [[service({ externalIPs: ['172.17.0.9'] })]], []],
  ['no address', [[service({ clusterIP: 'None', clusterIPs: ['None'] })]], []],
  [
    'a name as the address of a load balancer',
    [[service({}, {}, { loadBalancer: { ingress: [{ hostname: 'lb' }] } })]],
    [],
  ],
  [
    'the address of a load balancer',
    [[service({}, {}, { loadBalancer: { ingress: [{ ip: NODE.ipv4 }] } })]],
    ['load balancer address 172.17.0.2'],
  ],
  ['a node port', [[service({ ports: [{ port: 8080, nodePort: 80 }] })]], ['node port everywhere']],
  ['a mapping of another address', [[service(EXTERNAL)], { hostIP: '172.17.0.7' }], []],
  ['a mapping of that address', [[service(EXTERNAL)], { hostIP: NODE.ipv4 }], ['external IP 172.17.0.2']],
  [
    'both families',
    [[service({ externalIPs: [NODE.ipv4, 'FD00:0::2'] })], { families: ['ipv4', 'ipv6'] }],
    ['external IP 172.17.0.2', 'external IP fd00::2'],
  ],
  [
    'the pod itself',
    [[service({ ...EXTERNAL, selector: { app: 'a' } }, { namespace: 'default' })], { pod: labelled }],
    [],
  ],
  [
    'the pod itself, at another port',
    [
      [
        service(
          { ...EXTERNAL, selector: { app: 'a' }, ports: [{ port: 80, targetPort: 9 }] },
          { namespace: 'default' },
        ),
      ],
      { pod: labelled },
    ],
    ['external IP 172.17.0.2'],
  ],
  [
    'the pod itself, at a port by its name',
    [
      [
        service(
          { ...EXTERNAL, selector: { app: 'a' }, ports: [{ port: 80, targetPort: 'web' }] },
          { namespace: 'default' },
        ),
      ],
      {
        pod: (pod) => {
          pod.metadata!.labels = { app: 'a' };
          pod.spec!.containers[0]!.ports![0]!.name = 'web';
        },
      },
    ],
    [],
  ],
  [
    'a pod of another namespace with its labels',
    [[service({ ...EXTERNAL, selector: { app: 'a' } })], { pod: labelled }],
    ['external IP 172.17.0.2'],
  ],
  ['nobody that it says', [[service(EXTERNAL, { namespace: 'default' })]], ['external IP 172.17.0.2']],
])('a Service with %s', (_, args, expected) => {
  expect(shared(...args)).toEqual(expected);
});

const candidate = (parts: {
  comment?: string;
  via?: string;
  chain?: string;
  element?: string;
}): TranslationCandidate =>
  ({
    rule: { comment: parts.comment, location: { chain: parts.chain ?? 'KUBE-SEP-X' } },
    via: parts.via === undefined ? [] : [{ comment: parts.via, location: { chain: 'KUBE-SERVICES' } }],
    ...(parts.element === undefined ? {} : { element: { comment: parts.element } }),
  }) as unknown as TranslationCandidate;

test.each<[string, Parameters<typeof candidate>[0], boolean]>([
  ['by a comment with its port', { comment: 'shop/web:http' }, true],
  ['by a comment of a rule that leads to it', { via: 'shop/web:http external IP' }, true],
  ['by a comment without a port', { via: 'shop/web cluster IP' }, true],
  ['by an element', { element: 'shop/web:http' }, true],
  ['by the name of a chain', { chain: 'endpoint-5OJB2KTY-shop/web/tcp/http__10.244.0.9/8080' }, true],
  [
    'not by one that begins so',
    { comment: 'shop/web-2:http', chain: 'service-ULMVA6XW-shop/web-2/tcp/http' },
    false,
  ],
  [
    'not by one of another namespace',
    { comment: 'other-shop/web:http', chain: 'service-ULMVA6XW-other-shop/web/tcp/http' },
    false,
  ],
  ['not by nothing', {}, false],
])('a translation is known to be of a Service %s', (_, parts, expected) => {
  expect(isOfService(candidate(parts), service({}))).toBe(expected);
});

test('a Service of the default namespace is called by its name alone', () => {
  expect([serviceName(service({})), serviceName(service({}, { namespace: 'default' }))]).toEqual([
    'shop/web',
    'web',
  ]);
});
