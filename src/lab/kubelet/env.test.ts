import { describe, expect, test } from 'bun:test';
import type { Container, Pod, Service } from '../../kube/types.ts';
import { containerEnv, type EnvSources, expand, fieldValue, serviceEnv } from './env.ts';

const pod: Pod = {
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: 'u-1',
    labels: { app: 'web', tier: 'a "b"' },
    annotations: { 'example.com/x': '1' },
  },
  spec: { containers: [{ name: 'main' }], serviceAccountName: 'sa' },
};

const kubernetes: Service = {
  metadata: { name: 'kubernetes', namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] },
};
const shop = (name: string, spec: Service['spec']): Service => ({
  metadata: { name, namespace: 'shop' },
  spec,
});

const sources: EnvSources = {
  configMap: async (name) =>
    name === 'settings' ? { data: { color: 'blue', 'not valid': 'x' } } : undefined,
  secret: async (name) =>
    name === 'hidden' ? { data: { word: Buffer.from('sesame').toString('base64') } } : undefined,
  services: [],
  podIps: ['10.1.0.7', 'fd00::7'],
  hostIp: '172.17.0.2',
  nodeName: 'node-1',
  allocatable: { cpu: 4, memory: 8 * 2 ** 30 },
};

describe('service variables', () => {
  test('of `kubernetes` are those of the how-to', () => {
    expect(Object.fromEntries(serviceEnv([kubernetes], 'default', true))).toEqual({
      KUBERNETES_PORT: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
      KUBERNETES_PORT_443_TCP_PORT: '443',
      KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
    });
  });

  const two = shop('my-db', {
    clusterIP: 'fd00::1',
    ports: [
      { name: 'sql-x', port: 5432 },
      { port: 53, protocol: 'UDP' },
    ],
  });
  test.each([
    ['dashes, IPv6 and several ports', [two], 'shop', true, 'MY_DB_PORT_53_UDP', 'udp://[fd00::1]:53'],
    ['named ports', [two], 'shop', true, 'MY_DB_SERVICE_PORT_SQL_X', '5432'],
    ['another namespace', [two], 'default', true, 'MY_DB_SERVICE_HOST', undefined],
    ['links turned off', [two], 'shop', false, 'MY_DB_SERVICE_HOST', undefined],
    ['kubernetes is everywhere', [kubernetes], 'shop', false, 'KUBERNETES_SERVICE_HOST', '10.96.0.1'],
    [
      'headless',
      [shop('h', { clusterIP: 'None', ports: [{ port: 1 }] })],
      'shop',
      true,
      'H_SERVICE_HOST',
      undefined,
    ],
  ] as [string, Service[], string, boolean, string, string | undefined][])(
    '%s',
    (_name, services, namespace, links, variable, value) => {
      expect(serviceEnv(services, namespace, links).get(variable)).toBe(value);
    },
  );
});

test.each([
  ['$(A)', 'a'],
  ['x$(A)y$(B)', 'xay$(B)'],
  ['$$(A)', '$(A)'],
  ['$$$(A)', '$a'],
  ['$A $ $(', '$A $ $('],
  ['$()', '$()'],
])('expand %s', (text, expected) => {
  expect(expand(text, (name) => (name === 'A' ? 'a' : undefined))).toBe(expected);
});

describe('containerEnv', () => {
  const envOf = (container: Partial<Container>, more: Partial<EnvSources> = {}) =>
    containerEnv(pod, { name: 'main', ...container }, { ...sources, ...more });

  test('later wins, earlier is visible, services come last', async () => {
    const env = await envOf(
      {
        envFrom: [{ configMapRef: { name: 'settings' }, prefix: 'C_' }],
        env: [
          { name: 'C_color', value: 'red' },
          { name: 'SEEN', value: '$(C_color) $(KUBERNETES_SERVICE_HOST) $(LATER)' },
          { name: 'LATER', value: '1' },
          { name: 'KUBERNETES_SERVICE_PORT', value: 'mine' },
        ],
      },
      { services: [kubernetes] },
    );
    expect(env.get('SEEN')).toBe('red 10.96.0.1 $(LATER)');
    expect(env.get('KUBERNETES_SERVICE_PORT')).toBe('mine');
    expect(env.has('C_not valid')).toBe(false);
  });

  test('keys that are not valid names are reported', async () => {
    const reported: string[] = [];
    const container = { name: 'main', envFrom: [{ configMapRef: { name: 'settings' } }] };
    await containerEnv(pod, container, sources, (message) => reported.push(message));
    expect(reported).toEqual([
      'Keys [not valid] from the EnvFrom configMap shop/settings were skipped since they are considered invalid environment variable names.',
    ]);
  });

  const ref = (valueFrom: NonNullable<NonNullable<Container['env']>[number]['valueFrom']>) => ({
    env: [{ name: 'X', valueFrom }],
  });
  test.each([
    ['config map key', ref({ configMapKeyRef: { name: 'settings', key: 'color' } }), 'blue'],
    ['secret key', ref({ secretKeyRef: { name: 'hidden', key: 'word' } }), 'sesame'],
    ['optional and absent', ref({ secretKeyRef: { name: 'none', key: 'k', optional: true } }), undefined],
    ['pod address', ref({ fieldRef: { fieldPath: 'status.podIP' } }), '10.1.0.7'],
    ['all addresses', ref({ fieldRef: { fieldPath: 'status.podIPs' } }), '10.1.0.7,fd00::7'],
    ['a limit that is not set', ref({ resourceFieldRef: { resource: 'limits.cpu' } }), '4'],
    ['memory in units', ref({ resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } }), '8192'],
  ])('%s', async (_name, container, value) => {
    expect((await envOf(container)).get('X')).toBe(value);
  });

  test.each([
    ['config map', ref({ configMapKeyRef: { name: 'none', key: 'k' } }), 'configmap "none" not found'],
    [
      'key of a map',
      ref({ configMapKeyRef: { name: 'settings', key: 'k' } }),
      "couldn't find key k in ConfigMap shop/settings",
    ],
    ['secret', ref({ secretKeyRef: { name: 'none', key: 'k' } }), 'secret "none" not found'],
    [
      'key of a secret',
      ref({ secretKeyRef: { name: 'hidden', key: 'k' } }),
      "couldn't find key k in Secret shop/hidden",
    ],
    ['whole map', { envFrom: [{ configMapRef: { name: 'none' } }] }, 'configmap "none" not found'],
    ['whole secret', { envFrom: [{ secretRef: { name: 'none' } }] }, 'secret "none" not found'],
    ['field', ref({ fieldRef: { fieldPath: 'spec.nothing' } }), 'unsupported fieldPath: spec.nothing'],
  ])('a missing %s is named', async (_name, container, message) => {
    await expect(envOf(container)).rejects.toThrow(message);
  });
});

test.each([
  ['metadata.name', 'web'],
  ['metadata.namespace', 'shop'],
  ['metadata.uid', 'u-1'],
  ['metadata.labels', 'app="web"\ntier="a \\"b\\""'],
  ["metadata.labels['app']", 'web'],
  ["metadata.annotations['example.com/x']", '1'],
  ["metadata.annotations['none']", ''],
  ['spec.nodeName', 'node-1'],
  ['spec.serviceAccountName', 'sa'],
  ['status.hostIP', '172.17.0.2'],
])('field %s', (path, value) => {
  expect(fieldValue(pod, path, sources)).toBe(value);
});
