import { describe, expect, test } from 'bun:test';
import { kindByName } from '../../../kube/kinds.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { applyDefaults } from './index.ts';

// biome-ignore lint/suspicious/noExplicitAny: the tests reach into specs of all kinds.
type Any = any;

function defaulted(name: string, object: object): Any {
  const [apiVersion, kind] = name.split(' ') as [string, string];
  const info = kindByName(apiVersion, kind)!;
  const result = structuredClone(object) as KubeObject;
  applyDefaults(info, result);
  const again = structuredClone(result);
  applyDefaults(info, again);
  expect(again).toEqual(result);
  return result;
}

const container = (change = {}) => ({ name: 'a', image: 'a', ...change });

test('a pod, as kubectl would read it back', () => {
  expect(
    defaulted('v1 Pod', {
      spec: { containers: [container({ ports: [{ containerPort: 8080, hostPort: 80 }] })] },
    }),
  ).toEqual({
    spec: {
      containers: [
        {
          name: 'a',
          image: 'a',
          imagePullPolicy: 'Always',
          ports: [{ containerPort: 8080, hostPort: 80, protocol: 'TCP' }],
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    },
  });
});

describe('imagePullPolicy', () => {
  test.each([
    ['a', 'Always'],
    ['a:latest', 'Always'],
    ['a:1', 'IfNotPresent'],
    ['r.io:5000/a', 'Always'],
    ['r.io:5000/a:1', 'IfNotPresent'],
    ['a@sha256:0000', 'IfNotPresent'],
    ['a:latest@sha256:0000', 'Always'],
  ])('%s: %s', (image, expected) => {
    expect(
      defaulted('v1 Pod', { spec: { containers: [container({ image })] } }).spec.containers[0]
        .imagePullPolicy,
    ).toBe(expected);
  });

  test('what is set stays', () => {
    const pod = defaulted('v1 Pod', { spec: { containers: [container({ imagePullPolicy: 'Never' })] } });
    expect(pod.spec.containers[0].imagePullPolicy).toBe('Never');
  });
});

describe('pods', () => {
  const spec = (change: object): Any =>
    defaulted('v1 Pod', { spec: { containers: [container()], ...change } }).spec;
  test.each([
    [
      'host network',
      { hostNetwork: true, containers: [container({ ports: [{ containerPort: 80 }] })] },
      (s: Any) => s.containers[0].ports,
      [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }],
    ],
    [
      'http probe',
      { containers: [container({ livenessProbe: { httpGet: { port: 80 } } })] },
      (s: Any) => s.containers[0].livenessProbe,
      {
        httpGet: { port: 80, path: '/', scheme: 'HTTP' },
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
      },
    ],
    [
      'grpc probe',
      { containers: [container({ readinessProbe: { grpc: { port: 1 } } })] },
      (s: Any) => s.containers[0].readinessProbe.grpc,
      { port: 1, service: '' },
    ],
    [
      'lifecycle',
      { containers: [container({ lifecycle: { preStop: { httpGet: { port: 1 } } } })] },
      (s: Any) => s.containers[0].lifecycle.preStop.httpGet,
      { port: 1, path: '/', scheme: 'HTTP' },
    ],
    [
      'downward env',
      {
        containers: [
          container({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] }),
        ],
      },
      (s: Any) => s.containers[0].env[0].valueFrom.fieldRef.apiVersion,
      'v1',
    ],
    [
      'limits are requests',
      {
        containers: [
          container({ resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } } }),
        ],
      },
      (s: Any) => s.containers[0].resources.requests,
      { cpu: '500m', memory: '1Gi' },
    ],
    ['no source', { volumes: [{ name: 'v' }] }, (s: Any) => s.volumes[0], { name: 'v', emptyDir: {} }],
    [
      'configMap',
      { volumes: [{ name: 'v', configMap: { name: 'c' } }] },
      (s: Any) => s.volumes[0].configMap.defaultMode,
      420,
    ],
    [
      'secret',
      { volumes: [{ name: 'v', secret: { secretName: 's' } }] },
      (s: Any) => s.volumes[0].secret.defaultMode,
      420,
    ],
    [
      'hostPath',
      { volumes: [{ name: 'v', hostPath: { path: '/' } }] },
      (s: Any) => s.volumes[0].hostPath,
      { path: '/', type: '' },
    ],
    [
      'projected',
      {
        volumes: [
          {
            name: 'v',
            projected: {
              sources: [
                { serviceAccountToken: { path: 't' } },
                { downwardAPI: { items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
              ],
            },
          },
        ],
      },
      (s: Any) => s.volumes[0].projected,
      {
        defaultMode: 420,
        sources: [
          { serviceAccountToken: { path: 't', expirationSeconds: 3600 } },
          {
            downwardAPI: {
              items: [{ path: 'n', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
            },
          },
        ],
      },
    ],
    ['the older name of the account', { serviceAccount: 'a' }, (s: Any) => s.serviceAccountName, 'a'],
    [
      'a grace of nought',
      { terminationGracePeriodSeconds: 0 },
      (s: Any) => s.terminationGracePeriodSeconds,
      0,
    ],
  ] as [string, object, (spec: Any) => unknown, unknown][])('%s', (_name, change, read, expected) => {
    expect(read(spec(change))).toEqual(expected as object);
  });
});

describe('other kinds', () => {
  const template = { metadata: { labels: { run: 'echo' } }, spec: { containers: [container()] } };

  test('Deployment', () => {
    const { spec } = defaulted('apps/v1 Deployment', { spec: { template } });
    expect(spec).toMatchObject({
      replicas: 1,
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      template: { spec: { restartPolicy: 'Always' } },
    });
    expect(spec.selector).toBeUndefined();
    expect(spec.template.spec.enableServiceLinks).toBeUndefined();
  });

  test('Deployment of extensions/v1beta1: selector and labels come from the template', () => {
    const deployment = defaulted('extensions/v1beta1 Deployment', {
      metadata: { name: 'e' },
      spec: { template },
    });
    expect(deployment.spec).toMatchObject({
      selector: { matchLabels: { run: 'echo' } },
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
    });
    expect(deployment.metadata.labels).toEqual({ run: 'echo' });
    const own = {
      metadata: { labels: { a: 'b' } },
      spec: { selector: { matchLabels: { run: 'echo' } }, template },
    };
    expect(defaulted('extensions/v1beta1 Deployment', own).metadata.labels).toEqual({ a: 'b' });
  });

  test('Recreate has no rolling update', () => {
    const { spec } = defaulted('apps/v1 Deployment', { spec: { strategy: { type: 'Recreate' }, template } });
    expect(spec.strategy).toEqual({ type: 'Recreate' });
  });

  test.each([
    [
      'apps/v1 ReplicaSet',
      { spec: { template } },
      { spec: { replicas: 1, template: { spec: { dnsPolicy: 'ClusterFirst' } } } },
    ],
    [
      'v1 ReplicationController',
      { metadata: {}, spec: { template: { ...template, metadata: { labels: { a: 'b' } } } } },
      { metadata: { labels: { a: 'b' } }, spec: { replicas: 1, selector: { a: 'b' } } },
    ],
    [
      'apps/v1 DaemonSet',
      { spec: { template } },
      {
        spec: {
          revisionHistoryLimit: 10,
          updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
        },
      },
    ],
    [
      'v1 Namespace',
      { metadata: { name: 'n' } },
      {
        metadata: { labels: { 'kubernetes.io/metadata.name': 'n' } },
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      },
    ],
    ['v1 Node', { status: { capacity: { cpu: '2' } } }, { status: { allocatable: { cpu: '2' } } }],
    [
      'v1 Secret',
      { data: { a: 'MQ==' }, stringData: { b: 'ü' } },
      { type: 'Opaque', data: { a: 'MQ==', b: 'w7w=' } },
    ],
    [
      'v1 Endpoints',
      { subsets: [{ ports: [{ port: 1 }] }] },
      { subsets: [{ ports: [{ port: 1, protocol: 'TCP' }] }] },
    ],
    [
      'discovery.k8s.io/v1 EndpointSlice',
      { ports: [{ port: 1 }] },
      { ports: [{ port: 1, name: '', protocol: 'TCP' }] },
    ],
    [
      'rbac.authorization.k8s.io/v1 RoleBinding',
      {
        roleRef: { kind: 'Role', name: 'r' },
        subjects: [
          { kind: 'User', name: 'u' },
          { kind: 'ServiceAccount', name: 's', namespace: 'n' },
        ],
      },
      {
        roleRef: { apiGroup: 'rbac.authorization.k8s.io' },
        subjects: [
          { kind: 'User', name: 'u', apiGroup: 'rbac.authorization.k8s.io' },
          { kind: 'ServiceAccount', name: 's', namespace: 'n' },
        ],
      },
    ],
    [
      'v1 Service',
      { spec: { ports: [{ port: 80 }] } },
      {
        spec: {
          type: 'ClusterIP',
          sessionAffinity: 'None',
          internalTrafficPolicy: 'Cluster',
          ipFamilies: ['IPv4'],
          ipFamilyPolicy: 'SingleStack',
          ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        },
        status: { loadBalancer: {} },
      },
    ],
    [
      'v1 Service',
      { spec: { type: 'NodePort', sessionAffinity: 'ClientIP', ports: [{ port: 80, targetPort: 'web' }] } },
      {
        spec: {
          externalTrafficPolicy: 'Cluster',
          sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
          ports: [{ targetPort: 'web' }],
        },
      },
    ],
  ] as [string, object, object][])('%s', (name, object, expected) => {
    expect(defaulted(name, object)).toMatchObject(expected);
  });

  test('stringData is not kept', () => {
    expect(defaulted('v1 Secret', { stringData: { a: 'b' } }).stringData).toBeUndefined();
  });

  test('an object without a specification stays without', () => {
    for (const name of ['v1 Pod', 'apps/v1 Deployment', 'apps/v1 ReplicaSet', 'apps/v1 DaemonSet']) {
      expect(defaulted(name, { metadata: { name: 'x' } })).toEqual({ metadata: { name: 'x' } });
    }
  });
});
