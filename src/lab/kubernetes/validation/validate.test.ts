import { describe, expect, test } from 'bun:test';
import { KINDS, type KindInfo, kindByName } from '../../../kube/kinds.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { applyDefaults } from '../defaults/index.ts';
import { mergePatch } from '../patch/index.ts';
import { fieldErrorText } from './field-error.ts';
import { invalidMessage, typeErrors, validateCreate, validateUpdate } from './index.ts';
import { RULES } from './validate.ts';

type Plain = Record<string, unknown>;

const LABEL_REGEX = "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'";
const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** A good object of every stored kind. */
const GOOD: Record<string, Plain> = {
  'v1 ConfigMap': { data: { a: '1' } },
  'apiextensions.k8s.io/v1 CustomResourceDefinition': {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
    status: { storedVersions: ['v1'] },
  },
  'v1 Endpoints': { subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }] },
  'v1 Event': { involvedObject: { kind: 'Pod', name: 'a', namespace: 'default' } },
  'v1 Namespace': {},
  'v1 Node': { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } },
  'v1 Pod': {
    spec: { containers: [{ name: 'echo', image: 'echo', ports: [{ containerPort: 8080, hostPort: 80 }] }] },
  },
  'v1 ReplicationController': { spec: { template: template() } },
  'v1 Secret': { stringData: { a: 'b' } },
  'v1 ServiceAccount': {},
  'v1 Service': { spec: { selector: { a: 'b' }, ports: [{ port: 80 }] } },
  'apps/v1 DaemonSet': { spec: { selector: { matchLabels: { a: 'b' } }, template: template() } },
  'apps/v1 Deployment': { spec: { selector: { matchLabels: { a: 'b' } }, template: template() } },
  'apps/v1 ReplicaSet': { spec: { selector: { matchLabels: { a: 'b' } }, template: template() } },
  'coordination.k8s.io/v1 Lease': { spec: { leaseDurationSeconds: 40 } },
  'discovery.k8s.io/v1 EndpointSlice': {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 1 }],
  },
  'extensions/v1beta1 Deployment': { spec: { template: template() } },
  'rbac.authorization.k8s.io/v1 ClusterRole': { rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }] },
  'rbac.authorization.k8s.io/v1 ClusterRoleBinding': {
    roleRef: { kind: 'ClusterRole', name: 'a' },
    subjects: [{ kind: 'User', name: 'u' }],
  },
  'rbac.authorization.k8s.io/v1 Role': { rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] },
  'rbac.authorization.k8s.io/v1 RoleBinding': {
    roleRef: { kind: 'Role', name: 'a' },
    subjects: [{ kind: 'ServiceAccount', name: 's', namespace: 'default' }],
  },
};

function template(): Plain {
  return { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'echo', image: 'echo' }] } };
}

function kindNamed(name: string): KindInfo {
  const [apiVersion, kind] = name.split(' ') as [string, string];
  return kindByName(apiVersion, kind)!;
}

/** A good object with a change (a JSON merge patch), defaults applied. */
function made(name: string, change: Plain = {}): KubeObject {
  const info = kindNamed(name);
  const object = mergePatch(
    { metadata: { name: 'x', ...(info.namespaced ? { namespace: 'default' } : {}) }, ...GOOD[name] },
    change,
  ) as KubeObject;
  expect(typeErrors(info, object)).toEqual([]);
  applyDefaults(info, object);
  return object;
}

function complaints(name: string, change: Plain): string[] {
  return validateCreate(kindNamed(name), made(name, change)).map(fieldErrorText);
}

describe('good objects', () => {
  test('there is one of every stored kind, and rules for it', () => {
    const stored = KINDS.filter(({ role }) => role === 'stored');
    const name = (info: KindInfo) =>
      `${info.group === '' ? '' : `${info.group}/`}${info.version} ${info.kind}`;
    expect(stored.map(name).sort()).toEqual(Object.keys(GOOD).sort());
    expect([...new Set(stored.map(({ kind }) => kind))].sort()).toEqual(Object.keys(RULES).sort());
  });

  test.each(Object.keys(GOOD))('%s: accepted, and unchanged accepted again', (name) => {
    const object = made(name);
    expect(validateCreate(kindNamed(name), object).map(fieldErrorText)).toEqual([]);
    expect(validateUpdate(kindNamed(name), structuredClone(object), object).map(fieldErrorText)).toEqual([]);
  });
});

/** One container with changes. */
const container = (change: Plain, pod: Plain = {}): Plain => ({
  spec: { containers: [{ name: 'echo', image: 'echo', ...change }], ...pod },
});
const ports = (...list: Plain[]): Plain => container({ ports: list });
const volume = (change: Plain): Plain => ({ spec: { volumes: [{ name: 'v', ...change }] } });
const podSpec = (change: Plain): Plain => ({ spec: change });

const CASES: Record<string, [string, Plain, string[]][]> = {
  definitions: [
    [
      'apiextensions.k8s.io/v1 CustomResourceDefinition',
      { spec: { group: 'nodot', scope: 'x' } },
      [
        'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group',
        'spec.group: Invalid value: "nodot": should be a domain with at least one dot',
        'spec.scope: Unsupported value: "x": supported values: "Cluster", "Namespaced"',
      ],
    ],
  ],
  metadata: [
    [
      'v1 Pod',
      { metadata: { name: null } },
      ['metadata.name: Required value: name or generateName is required'],
    ],
    ['v1 Pod', { metadata: { name: 'A_b' } }, [`metadata.name: Invalid value: "A_b": ${SUBDOMAIN}`]],
    [
      'v1 Pod',
      { metadata: { name: 'a'.repeat(254) } },
      [`metadata.name: Invalid value: "${'a'.repeat(254)}": must be no more than 253 bytes`],
    ],
    ['v1 Pod', { metadata: { namespace: null } }, ['metadata.namespace: Required value']],
    [
      'v1 Node',
      { metadata: { namespace: 'a' } },
      ['metadata.namespace: Forbidden: not allowed on this type'],
    ],
    [
      'v1 Namespace',
      { metadata: { name: 'a.b' } },
      [
        'metadata.name: Invalid value: "a.b": must not contain dots',
        // The label that names the namespace is the name itself, which is a good label value.
      ],
    ],
    ['v1 Service', { metadata: { name: '1a' } }, []],
    [
      'rbac.authorization.k8s.io/v1 Role',
      { metadata: { name: 'a/b' } },
      [`metadata.name: Invalid value: "a/b": may not contain '/'`],
    ],
    ['rbac.authorization.k8s.io/v1 Role', { metadata: { name: 'system:node-x' } }, []],
    [
      'v1 Pod',
      { metadata: { labels: { 'a b': 'c' } } },
      [
        `metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
      ],
    ],
    [
      'v1 Pod',
      { metadata: { labels: { a: 'c d' } } },
      [
        `metadata.labels: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
      ],
    ],
    [
      'v1 Pod',
      { metadata: { annotations: { a: 'x'.repeat(262_145) } } },
      ['metadata.annotations: Too long: may not be more than 262144 bytes'],
    ],
    [
      'v1 Pod',
      { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: '' }] } },
      ['metadata.ownerReferences[0].uid: Invalid value: "": uid must not be empty'],
    ],
  ],
  ports: [
    [
      'v1 Pod',
      ports({ containerPort: 8080, hostPort: 70_000 }),
      ['spec.containers[0].ports[0].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 8080, hostPort: -1 }),
      ['spec.containers[0].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive'],
    ],
    ['v1 Pod', ports({ containerPort: 8080, hostPort: 0 }), []],
    ['v1 Pod', ports({ hostPort: 80 }), ['spec.containers[0].ports[0].containerPort: Required value']],
    [
      'v1 Pod',
      ports({ containerPort: 65_536 }),
      [
        'spec.containers[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 80, protocol: 'tcp' }),
      [
        'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
      ],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 80, name: 'Web' }),
      [
        'spec.containers[0].ports[0].name: Invalid value: "Web": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      ],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 80, name: 'a-very-long-port-name' }),
      [
        'spec.containers[0].ports[0].name: Invalid value: "a-very-long-port-name": must be no more than 15 characters',
      ],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 80, name: 'web' }, { containerPort: 81, name: 'web' }),
      ['spec.containers[0].ports[1].name: Duplicate value: "web"'],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 8080, hostPort: 80 }, { containerPort: 8081, hostPort: 80 }),
      ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      'v1 Pod',
      ports(
        { containerPort: 8080, hostPort: 80, hostIP: '127.0.0.1' },
        { containerPort: 8080, hostPort: 80, hostIP: '127.0.0.1' },
      ),
      ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP/127.0.0.1/80"'],
    ],
    [
      'v1 Pod',
      ports({ containerPort: 8080, hostPort: 80 }, { containerPort: 8080, hostPort: 80, protocol: 'UDP' }),
      [],
    ],
    [
      'v1 Pod',
      {
        spec: {
          containers: [
            { name: 'a', image: 'a', ports: [{ containerPort: 1, hostPort: 80 }] },
            { name: 'b', image: 'a', ports: [{ containerPort: 1, hostPort: 80 }] },
          ],
        },
      },
      ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      'v1 Pod',
      container({ ports: [{ containerPort: 8080, hostPort: 80 }] }, { hostNetwork: true }),
      [
        'spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` is true',
      ],
    ],
    ['v1 Pod', container({ ports: [{ containerPort: 8080 }] }, { hostNetwork: true }), []],
    [
      'apps/v1 DaemonSet',
      { spec: { template: container({ ports: [{ containerPort: 8080 }] }, { hostNetwork: true }) } },
      [],
    ],
    [
      'apps/v1 DaemonSet',
      {
        spec: {
          template: container({ ports: [{ containerPort: 8080, hostPort: 80 }] }, { hostNetwork: true }),
        },
      },
      [
        'spec.template.spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` is true',
      ],
    ],
    [
      'v1 Pod',
      {
        spec: {
          initContainers: [
            {
              name: 'i',
              image: 'i',
              ports: [
                { containerPort: 1, hostPort: 80 },
                { containerPort: 2, hostPort: 80 },
              ],
            },
          ],
        },
      },
      ['spec.initContainers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
    ],
  ],
  containers: [
    ['v1 Pod', { spec: { containers: [] } }, ['spec.containers: Required value']],
    ['v1 Pod', { spec: null }, ['spec.containers: Required value']],
    ['v1 Pod', container({ name: '' }), ['spec.containers[0].name: Required value']],
    ['v1 Pod', container({ name: 'Echo' }), [`spec.containers[0].name: Invalid value: "Echo": ${LABEL}`]],
    ['v1 Pod', container({ image: '' }), ['spec.containers[0].image: Required value']],
    [
      'v1 Pod',
      container({ image: ' echo' }),
      ['spec.containers[0].image: Invalid value: " echo": must not have leading or trailing whitespace'],
    ],
    [
      'v1 Pod',
      {
        spec: {
          containers: [
            { name: 'a', image: 'a' },
            { name: 'a', image: 'a' },
          ],
        },
      },
      ['spec.containers[1].name: Duplicate value: "a"'],
    ],
    [
      'v1 Pod',
      { spec: { initContainers: [{ name: 'echo', image: 'a' }] } },
      ['spec.initContainers[0].name: Duplicate value: "echo"'],
    ],
    [
      'v1 Pod',
      container({ imagePullPolicy: 'always' }),
      [
        'spec.containers[0].imagePullPolicy: Unsupported value: "always": supported values: "Always", "IfNotPresent", "Never"',
      ],
    ],
    [
      'v1 Pod',
      container({ restartPolicy: 'Always' }),
      ['spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers'],
    ],
    [
      'v1 Pod',
      {
        spec: {
          initContainers: [
            { name: 'i', image: 'i', restartPolicy: 'Always', readinessProbe: { exec: { command: ['a'] } } },
          ],
        },
      },
      [],
    ],
    [
      'v1 Pod',
      { spec: { initContainers: [{ name: 'i', image: 'i', readinessProbe: { exec: { command: ['a'] } } }] } },
      [
        'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
      ],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: '1a', value: 'x' }] }),
      [
        `spec.containers[0].env[0].name: Invalid value: "1a": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
      ],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: 'A', valueFrom: {} }] }),
      [
        'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
      ],
    ],
    [
      'v1 Pod',
      container({
        env: [{ name: 'A', value: 'b', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
      }),
      [
        'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
      ],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }] }),
      [],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } }] }),
      [],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.foo' } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: field label not supported: spec.foo',
      ],
    ],
    [
      'v1 Pod',
      container({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: '' } } }] }),
      ['spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value'],
    ],
    [
      'v1 Pod',
      container({ envFrom: [{}] }),
      [
        'spec.containers[0].envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
      ],
    ],
    [
      'v1 Pod',
      container({ volumeMounts: [{ name: 'data', mountPath: '/data' }] }),
      ['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
    ],
    [
      'v1 Pod',
      container({ volumeMounts: [{ name: 'v', mountPath: '' }] }, { volumes: [{ name: 'v' }] }),
      ['spec.containers[0].volumeMounts[0].mountPath: Required value'],
    ],
    [
      'v1 Pod',
      container(
        {
          volumeMounts: [
            { name: 'v', mountPath: '/a' },
            { name: 'v', mountPath: '/a' },
          ],
        },
        { volumes: [{ name: 'v' }] },
      ),
      ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique'],
    ],
    [
      'v1 Pod',
      container(
        { volumeMounts: [{ name: 'v', mountPath: '/a', subPath: '../b' }] },
        { volumes: [{ name: 'v' }] },
      ),
      [`spec.containers[0].volumeMounts[0].subPath: Invalid value: "../b": must not contain '..'`],
    ],
    [
      'v1 Pod',
      container(
        { volumeMounts: [{ name: 'v', mountPath: '/a', mountPropagation: 'Bidirectional' }] },
        { volumes: [{ name: 'v' }] },
      ),
      [
        'spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
      ],
    ],
    [
      'v1 Pod',
      container({ resources: { limits: { cpu: '1' }, requests: { cpu: '1500m' } } }),
      [
        'spec.containers[0].resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit of 1',
      ],
    ],
    [
      'v1 Pod',
      container({ resources: { limits: { memory: '-1Mi' } } }),
      [
        'spec.containers[0].resources.limits[memory]: Invalid value: "-1Mi": must be greater than or equal to 0',
        'spec.containers[0].resources.requests[memory]: Invalid value: "-1Mi": must be greater than or equal to 0',
      ],
    ],
    ['v1 Pod', container({ resources: { requests: { memory: '1Gi' }, limits: { memory: '1024Mi' } } }), []],
    [
      'v1 Pod',
      container({ livenessProbe: {} }),
      ['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    ],
    [
      'v1 Pod',
      container({ livenessProbe: { httpGet: { port: 0 } } }),
      [
        'spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'v1 Pod',
      container({ livenessProbe: { httpGet: { port: 80 }, exec: { command: ['a'] } } }),
      ['spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type'],
    ],
    [
      'v1 Pod',
      container({ livenessProbe: { httpGet: { port: 80 }, successThreshold: 2 } }),
      ['spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1'],
    ],
    [
      'v1 Pod',
      container({ readinessProbe: { httpGet: { port: 'x_y' }, initialDelaySeconds: -1 } }),
      [
        'spec.containers[0].readinessProbe.httpGet.port: Invalid value: "x_y": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.containers[0].readinessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'v1 Pod',
      container({ lifecycle: { preStop: { exec: { command: [] } } } }),
      ['spec.containers[0].lifecycle.preStop.exec.command: Required value'],
    ],
    [
      'v1 Pod',
      container({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      [
        'spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
      ],
    ],
  ],
  pods: [
    [
      'v1 Pod',
      podSpec({ restartPolicy: 'always' }),
      ['spec.restartPolicy: Unsupported value: "always": supported values: "Always", "OnFailure", "Never"'],
    ],
    [
      'v1 Pod',
      podSpec({ dnsPolicy: 'None' }),
      ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    ],
    [
      'v1 Pod',
      podSpec({ dnsPolicy: 'x' }),
      [
        'spec.dnsPolicy: Unsupported value: "x": supported values: "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"',
      ],
    ],
    [
      'v1 Pod',
      podSpec({ activeDeadlineSeconds: 0 }),
      ['spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive'],
    ],
    ['v1 Pod', podSpec({ nodeName: 'A' }), [`spec.nodeName: Invalid value: "A": ${SUBDOMAIN}`]],
    ['v1 Pod', podSpec({ hostname: 'a.b' }), ['spec.hostname: Invalid value: "a.b": must not contain dots']],
    [
      'v1 Pod',
      podSpec({ hostAliases: [{ ip: 'x', hostnames: ['a'] }] }),
      [
        'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    ['v1 Pod', podSpec({ tolerations: [{ operator: 'Exists' }] }), []],
    [
      'v1 Pod',
      podSpec({ tolerations: [{ key: 'a', operator: 'Is' }] }),
      ['spec.tolerations[0].operator: Unsupported value: "Is": supported values: "Equal", "Exists"'],
    ],
    [
      'v1 Pod',
      podSpec({ tolerations: [{ value: 'b' }] }),
      [
        'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ],
    ],
    [
      'v1 Pod',
      podSpec({ tolerations: [{ key: 'a', operator: 'Exists', effect: 'No' }] }),
      [
        'spec.tolerations[0].effect: Unsupported value: "No": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
      ],
    ],
    ['v1 Pod', volume({ hostPath: { path: '' } }), ['spec.volumes[0].hostPath.path: Required value']],
    [
      'v1 Pod',
      volume({ hostPath: { path: '/a/../b' } }),
      [`spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain '..'`],
    ],
    [
      'v1 Pod',
      volume({ hostPath: { path: '/a', type: 'Dir' } }),
      [
        'spec.volumes[0].hostPath.type: Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
      ],
    ],
    [
      'v1 Pod',
      volume({ emptyDir: {}, hostPath: { path: '/' } }),
      ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
    ],
    [
      'v1 Pod',
      { spec: { volumes: [{ name: 'v' }, { name: 'v' }] } },
      ['spec.volumes[1].name: Duplicate value: "v"'],
    ],
    [
      'v1 Pod',
      { spec: { volumes: [{ name: 'V' }] } },
      [`spec.volumes[0].name: Invalid value: "V": ${LABEL}`],
    ],
    ['v1 Pod', volume({ configMap: {} }), ['spec.volumes[0].configMap.name: Required value']],
    [
      'v1 Pod',
      volume({ secret: { secretName: 's', defaultMode: 1000 } }),
      [
        'spec.volumes[0].secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive',
      ],
    ],
    [
      'v1 Pod',
      volume({ configMap: { name: 'c', items: [{ key: 'k', path: '/abs' }] } }),
      ['spec.volumes[0].configMap.items[0].path: Invalid value: "/abs": must be a relative path'],
    ],
    [
      'v1 Pod',
      volume({ downwardAPI: { items: [{ path: 'a', fieldRef: { fieldPath: 'status.podIP' } }] } }),
      [
        'spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
      ],
    ],
    [
      'v1 Pod',
      volume({ projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 5 } }] } }),
      [
        'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
      ],
    ],
  ],
  workloads: [
    [
      'apps/v1 Deployment',
      { spec: { selector: null } },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'extensions/v1beta1 Deployment',
      { spec: { template: { metadata: { labels: null } } } },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
      ],
    ],
    [
      'apps/v1 Deployment',
      { spec: { selector: { matchLabels: null } } },
      ['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
    ],
    [
      'apps/v1 Deployment',
      { spec: { selector: { matchLabels: { a: 'c' } } } },
      [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'apps/v1 DaemonSet',
      { spec: { selector: { matchLabels: { c: 'd' } } } },
      [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'apps/v1 Deployment',
      { spec: { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } } },
      [
        `spec.selector.matchExpressions[0].values: Required value: must be specified when \`operator\` is 'In' or 'NotIn'`,
      ],
    ],
    [
      'apps/v1 Deployment',
      { spec: { replicas: -1 } },
      ['spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    ],
    [
      'apps/v1 Deployment',
      { spec: { template: { spec: { restartPolicy: 'Never' } } } },
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    [
      'apps/v1 ReplicaSet',
      { spec: { template: { spec: { containers: null } } } },
      ['spec.template.spec.containers: Required value'],
    ],
    [
      'apps/v1 Deployment',
      { spec: { template: null } },
      [
        'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
        'spec.template.spec.containers: Required value',
      ],
    ],
    [
      'v1 ReplicationController',
      { spec: { selector: { other: 'x' } } },
      [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'v1 ReplicationController',
      { spec: { template: { metadata: { labels: null }, spec: { restartPolicy: 'Never' } } } },
      [
        'spec.selector: Required value',
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
      ],
    ],
    [
      'apps/v1 Deployment',
      { spec: { strategy: { type: 'Blue' } } },
      ['spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"'],
    ],
    [
      'apps/v1 Deployment',
      { spec: { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } } },
      [`spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy \`type\` is 'Recreate'`],
    ],
    [
      'apps/v1 Deployment',
      { spec: { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
    ],
    [
      'apps/v1 Deployment',
      { spec: { strategy: { rollingUpdate: { maxSurge: 'all' } } } },
      [
        `spec.strategy.rollingUpdate.maxSurge: Invalid value: "all": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`,
      ],
    ],
    [
      'apps/v1 Deployment',
      { spec: { progressDeadlineSeconds: 5, minReadySeconds: 5 } },
      ['spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds'],
    ],
    [
      'apps/v1 DaemonSet',
      { spec: { updateStrategy: { type: 'No' } } },
      ['spec.updateStrategy.type: Unsupported value: "No": supported values: "RollingUpdate", "OnDelete"'],
    ],
    [
      'apps/v1 DaemonSet',
      { spec: { updateStrategy: { rollingUpdate: { maxSurge: 1 } } } },
      [
        'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
      ],
    ],
  ],
  others: [
    ['v1 Service', { spec: { ports: [] } }, ['spec.ports: Required value']],
    ['v1 Service', { spec: { ports: [], clusterIP: 'None' } }, []],
    [
      'v1 Service',
      { spec: { ports: [{ port: 0 }] } },
      [
        'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'v1 Service',
      { spec: { ports: [{ port: 80 }, { port: 81 }] } },
      ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
    ],
    [
      'v1 Service',
      { spec: { ports: [{ port: 80, nodePort: 30_000 }] } },
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    [
      'v1 Service',
      { spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] } },
      [
        'spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
      ],
    ],
    [
      'v1 Service',
      { spec: { type: 'Node' } },
      [
        'spec.type: Unsupported value: "Node": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
      ],
    ],
    [
      'v1 Service',
      { spec: { type: 'ExternalName', externalName: null } },
      ['spec.externalName: Required value'],
    ],
    [
      'v1 Service',
      { spec: { clusterIP: 'x' } },
      [
        'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'v1 ConfigMap',
      { data: { 'a/b': '' } },
      [
        `data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
      ],
    ],
    [
      'v1 Secret',
      { type: 'kubernetes.io/tls' },
      ['data[tls.crt]: Required value', 'data[tls.key]: Required value'],
    ],
    [
      'v1 Secret',
      { type: 'kubernetes.io/service-account-token' },
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
    [
      'v1 Namespace',
      { spec: { finalizers: ['mine'] } },
      [
        'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      'v1 Node',
      { spec: { taints: [{ key: 'a', effect: 'Never' }] } },
      [
        'spec.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
      ],
    ],
    [
      'v1 Event',
      { involvedObject: { namespace: 'other' } },
      ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ],
    [
      'coordination.k8s.io/v1 Lease',
      { spec: { leaseDurationSeconds: 0 } },
      ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0'],
    ],
    [
      'v1 Endpoints',
      { subsets: [{ addresses: [{ ip: '127.0.0.1' }] }] },
      [
        'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
      ],
    ],
    [
      'discovery.k8s.io/v1 EndpointSlice',
      { addressType: 'IP' },
      ['addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"'],
    ],
    ['v1 ServiceAccount', { imagePullSecrets: [{}] }, ['imagePullSecrets[0].name: Required value']],
    [
      'rbac.authorization.k8s.io/v1 Role',
      { rules: [{ verbs: [], apiGroups: [''], resources: ['pods'] }] },
      ['rules[0].verbs: Required value: verbs must contain at least one value'],
    ],
    [
      'rbac.authorization.k8s.io/v1 Role',
      { rules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }] },
      ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
    ],
    [
      'rbac.authorization.k8s.io/v1 ClusterRole',
      { rules: [{ verbs: ['get'], resources: ['pods'] }] },
      ['rules[0].apiGroups: Required value: resource rules must supply at least one api group'],
    ],
    [
      'rbac.authorization.k8s.io/v1 RoleBinding',
      { subjects: [{ kind: 'ServiceAccount', name: 's' }] },
      ['subjects[0].namespace: Required value'],
    ],
    [
      'rbac.authorization.k8s.io/v1 ClusterRoleBinding',
      { roleRef: { kind: 'Role' } },
      ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'],
    ],
  ],
};

for (const [group, cases] of Object.entries(CASES)) {
  describe(group, () => {
    test.each(cases)('%s %j', (name, change, expected) => {
      expect(complaints(name, change)).toEqual(expected);
    });
  });
}

test('the table has a refusal for every stored kind', () => {
  const refused = new Set(
    Object.values(CASES)
      .flat()
      .filter(([, , expected]) => expected.length > 0)
      .map(([name]) => name),
  );
  expect(Object.keys(GOOD).filter((name) => !refused.has(name))).toEqual([]);
});

describe('updates', () => {
  const POD =
    'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n';
  const cases: [string, string, Plain, Plain, string[]][] = [
    [
      'an image',
      'v1 Pod',
      {},
      container({ image: 'other', ports: [{ containerPort: 8080, hostPort: 80 }] }),
      [],
    ],
    ['labels', 'v1 Pod', {}, { metadata: { labels: { a: 'b' } } }, []],
    ['a host port', 'v1 Pod', {}, ports({ containerPort: 8080, hostPort: 81 }), [POD]],
    ['the node', 'v1 Pod', {}, podSpec({ nodeName: 'n' }), [POD]],
    [
      'one container more',
      'v1 Pod',
      {},
      {
        spec: {
          containers: [
            { name: 'a', image: 'a' },
            { name: 'b', image: 'b' },
          ],
        },
      },
      ['spec.containers: Forbidden: pod updates may not add or remove containers'],
    ],
    ['a toleration more', 'v1 Pod', {}, podSpec({ tolerations: [{ key: 'a', operator: 'Exists' }] }), []],
    [
      'a toleration less',
      'v1 Pod',
      podSpec({ tolerations: [{ key: 'a', operator: 'Exists' }] }),
      podSpec({ tolerations: null }),
      ['spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds'],
    ],
    [
      'a deadline',
      'v1 Pod',
      podSpec({ activeDeadlineSeconds: 5 }),
      podSpec({ activeDeadlineSeconds: 6 }),
      ['spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value'],
    ],
    [
      'the selector',
      'apps/v1 Deployment',
      {},
      { spec: { selector: { matchLabels: { c: 'd' } }, template: { metadata: { labels: { c: 'd' } } } } },
      ['spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable'],
    ],
    ['replicas', 'apps/v1 Deployment', {}, { spec: { replicas: 4 } }, []],
    [
      'the cluster address',
      'v1 Service',
      { spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] } },
      { spec: { clusterIP: '10.96.0.6', clusterIPs: ['10.96.0.6'] } },
      ['spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set'],
    ],
    [
      'immutable data',
      'v1 ConfigMap',
      { immutable: true },
      { immutable: true, data: { a: '2' } },
      ['data: Forbidden: field is immutable when `immutable` is set'],
    ],
    [
      'a Secret’s type',
      'v1 Secret',
      {},
      { type: 'other' },
      ['type: Invalid value: "other": field is immutable'],
    ],
    [
      'the pod subnet',
      'v1 Node',
      { spec: { podCIDR: '10.0.0.0/24' } },
      { spec: { podCIDR: '10.0.1.0/24' } },
      ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ],
    [
      'the address type',
      'discovery.k8s.io/v1 EndpointSlice',
      {},
      { addressType: 'FQDN' },
      ['addressType: Invalid value: "FQDN": field is immutable'],
    ],
    [
      'the role',
      'rbac.authorization.k8s.io/v1 RoleBinding',
      {},
      { roleRef: { name: 'other' } },
      [
        'roleRef: Invalid value: {"kind":"Role","name":"other","apiGroup":"rbac.authorization.k8s.io"}: cannot change roleRef',
      ],
    ],
    [
      'the name',
      'v1 ConfigMap',
      {},
      { metadata: { name: 'y' } },
      ['metadata.name: Invalid value: "y": field is immutable'],
    ],
    [
      'a finalizer while going',
      'v1 ConfigMap',
      { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
      { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a.b/c'] } },
      [
        'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/c"}',
      ],
    ],
  ];
  test.each(cases)('%s (%s)', (_what, name, before, after, expected) => {
    const found = validateUpdate(kindNamed(name), made(name, after), made(name, before)).map(fieldErrorText);
    expect(found.map((text) => (text.startsWith(POD) ? POD : text))).toEqual(expected);
  });

  test('what a refused pod update changes is shown', () => {
    const info = kindNamed('v1 Pod');
    const [error] = validateUpdate(info, made('v1 Pod', podSpec({ nodeName: 'n' })), made('v1 Pod'));
    expect(error?.message).toContain('  spec.nodeName:\n-   null\n+   "n"');
  });

  test('a binding gives a pod its node, a status update looks at metadata only', () => {
    const info = kindNamed('v1 Pod');
    const bound = made('v1 Pod', podSpec({ nodeName: 'n' }));
    expect(validateUpdate(info, bound, made('v1 Pod'), 'binding')).toEqual([]);
    const relabelled = made('v1 Pod', { metadata: { labels: { 'a b': '' } } });
    expect(validateUpdate(info, relabelled, made('v1 Pod'), 'status')).toHaveLength(1);
  });
});

test.each([
  [
    'one error',
    podSpec({ restartPolicy: 'x' }),
    'Pod "x" is invalid: spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
  ],
  [
    'several',
    podSpec({ restartPolicy: 'x', hostname: 'a.b' }),
    'Pod "x" is invalid: [spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never", spec.hostname: Invalid value: "a.b": must not contain dots]',
  ],
])('message of %s', (_name, change, expected) => {
  const info = kindNamed('v1 Pod');
  expect(invalidMessage('Pod', '', 'x', validateCreate(info, made('v1 Pod', change)))).toBe(expected);
});

test('names say which pattern they broke', () => {
  expect(complaints('v1 Namespace', { metadata: { name: 'A' } })[0]).toContain(LABEL_REGEX);
});
