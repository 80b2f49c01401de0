import { describe, expect, test } from 'bun:test';
import { KINDS, kindByName } from '../../../kube/kinds.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { tableColumns, tableRow } from './index.ts';

const NOW = Date.parse('2026-01-01T01:00:00Z');
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

/** Header -> cell, as `kubectl get -o wide` would show them. */
function shown(name: string, object: object): Record<string, unknown> {
  const [apiVersion, kind] = name.split(' ') as [string, string];
  const info = kindByName(apiVersion, kind)!;
  const named = {
    ...object,
    metadata: { name: 'x', creationTimestamp: ago(90), ...(object as KubeObject).metadata },
  } as KubeObject;
  const cells = tableRow(info, named, NOW);
  const columns = tableColumns(info);
  expect(cells).toHaveLength(columns.length);
  return Object.fromEntries(columns.map((column, index) => [column.name, cells[index]]));
}

test('every kind has a table: an empty object prints, and one column is the name', () => {
  for (const info of KINDS.filter(({ role }) => role === 'stored')) {
    const columns = tableColumns(info);
    expect(columns.filter(({ format }) => format === 'name')).toHaveLength(1);
    const cells = tableRow(info, { metadata: { name: 'x' } }, NOW);
    expect(cells, info.kind).toHaveLength(columns.length);
    expect(cells.filter((cell) => cell === undefined)).toEqual([]);
    expect(cells[columns.findIndex(({ format }) => format === 'name')]).toBe('x');
  }
});

describe('headers', () => {
  test.each([
    ['v1 Pod', 'Name Ready Status Restarts Age', 'IP Node Nominated_Node Readiness_Gates'],
    [
      'v1 Node',
      'Name Status Roles Age Version',
      'Internal-IP External-IP OS-Image Kernel-Version Container-Runtime',
    ],
    ['apps/v1 Deployment', 'Name Ready Up-to-date Available Age', 'Containers Images Selector'],
    ['extensions/v1beta1 Deployment', 'Name Ready Up-to-date Available Age', 'Containers Images Selector'],
    ['apps/v1 ReplicaSet', 'Name Desired Current Ready Age', 'Containers Images Selector'],
    ['v1 ReplicationController', 'Name Desired Current Ready Age', 'Containers Images Selector'],
    [
      'apps/v1 DaemonSet',
      'Name Desired Current Ready Up-to-date Available Node_Selector Age',
      'Containers Images Selector',
    ],
    ['v1 Service', 'Name Type Cluster-IP External-IP Port(s) Age', 'Selector'],
    ['v1 Endpoints', 'Name Endpoints Age', ''],
    ['discovery.k8s.io/v1 EndpointSlice', 'Name AddressType Ports Endpoints Age', ''],
    ['v1 Event', 'Last_Seen Type Reason Object Message', 'Subobject Source First_Seen Count Name'],
    ['v1 Namespace', 'Name Status Age', ''],
    ['v1 ConfigMap', 'Name Data Age', ''],
    ['v1 Secret', 'Name Type Data Age', ''],
    ['v1 ServiceAccount', 'Name Secrets Age', ''],
    ['coordination.k8s.io/v1 Lease', 'Name Holder Age', ''],
    ['rbac.authorization.k8s.io/v1 Role', 'Name Created_At', ''],
    ['rbac.authorization.k8s.io/v1 ClusterRole', 'Name Created_At', ''],
    ['rbac.authorization.k8s.io/v1 RoleBinding', 'Name Role Age', 'Users Groups ServiceAccounts'],
    ['rbac.authorization.k8s.io/v1 ClusterRoleBinding', 'Name Role Age', 'Users Groups ServiceAccounts'],
  ])('%s', (name, narrow, wide) => {
    const [apiVersion, kind] = name.split(' ') as [string, string];
    const columns = tableColumns(kindByName(apiVersion, kind)!);
    const names = (priority: number): string =>
      columns
        .filter((column) => column.priority === priority)
        .map((column) => column.name.replaceAll(' ', '_'))
        .join(' ');
    expect([names(0), names(1)]).toEqual([narrow, wide]);
  });
});

describe('pods', () => {
  const two = { containers: [{ name: 'a' }, { name: 'b' }] };
  const running = (ready = true, extra = {}) => ({
    ready,
    restartCount: 0,
    state: { running: {} },
    ...extra,
  });
  const waiting = (reason: string, extra = {}) => ({
    ready: false,
    restartCount: 0,
    state: { waiting: { reason } },
    ...extra,
  });
  const ended = (terminated: object, extra = {}) => ({
    ready: false,
    restartCount: 0,
    state: { terminated },
    ...extra,
  });
  const init = { ...two, initContainers: [{ name: 'i' }, { name: 'j' }] };
  const sidecar = { containers: [{ name: 'a' }], initContainers: [{ name: 's', restartPolicy: 'Always' }] };

  test.each([
    ['pending', { spec: two, status: { phase: 'Pending' } }, '0/2', 'Pending', '0'],
    [
      'creating',
      {
        spec: two,
        status: {
          phase: 'Pending',
          containerStatuses: [waiting('ContainerCreating'), waiting('ContainerCreating')],
        },
      },
      '0/2',
      'ContainerCreating',
      '0',
    ],
    [
      'running',
      { spec: two, status: { phase: 'Running', containerStatuses: [running(), running()] } },
      '2/2',
      'Running',
      '0',
    ],
    [
      'half ready',
      { spec: two, status: { phase: 'Running', containerStatuses: [running(), running(false)] } },
      '1/2',
      'Running',
      '0',
    ],
    [
      'the first reason wins',
      {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [waiting('ImagePullBackOff'), waiting('CrashLoopBackOff')],
        },
      },
      '0/2',
      'ImagePullBackOff',
      '0',
    ],
    [
      'crashing',
      {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [
            running(),
            waiting('CrashLoopBackOff', {
              restartCount: 3,
              lastState: { terminated: { finishedAt: ago(10) } },
            }),
          ],
        },
      },
      '1/2',
      'CrashLoopBackOff',
      '3 (10s ago)',
    ],
    [
      'restarts without a time',
      { spec: two, status: { phase: 'Running', containerStatuses: [running(true, { restartCount: 2 })] } },
      '1/2',
      'Running',
      '2',
    ],
    [
      'the last restart counts',
      {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [
            running(true, { restartCount: 1, lastState: { terminated: { finishedAt: ago(300) } } }),
            running(true, { restartCount: 1, lastState: { terminated: { finishedAt: ago(60) } } }),
          ],
        },
      },
      '2/2',
      'Running',
      '2 (60s ago)',
    ],
    [
      'completed',
      {
        spec: two,
        status: { phase: 'Succeeded', containerStatuses: [ended({ reason: 'Completed', exitCode: 0 })] },
      },
      '0/2',
      'Completed',
      '0',
    ],
    [
      'one completed, ready',
      {
        spec: two,
        status: {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [ended({ reason: 'Completed', exitCode: 0 }), running()],
        },
      },
      '1/2',
      'Running',
      '0',
    ],
    [
      'one completed, not ready',
      {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [ended({ reason: 'Completed', exitCode: 0 }), running()],
        },
      },
      '1/2',
      'NotReady',
      '0',
    ],
    [
      'an exit code',
      { spec: two, status: { phase: 'Failed', containerStatuses: [ended({ exitCode: 7 })] } },
      '0/2',
      'ExitCode:7',
      '0',
    ],
    [
      'a signal',
      { spec: two, status: { phase: 'Failed', containerStatuses: [ended({ exitCode: 137, signal: 9 })] } },
      '0/2',
      'Signal:9',
      '0',
    ],
    ['evicted', { spec: two, status: { phase: 'Failed', reason: 'Evicted' } }, '0/2', 'Evicted', '0'],
    [
      'terminating',
      {
        metadata: { deletionTimestamp: ago(1) },
        spec: two,
        status: { phase: 'Running', containerStatuses: [running(), running()] },
      },
      '2/2',
      'Terminating',
      '0',
    ],
    [
      'terminated',
      {
        metadata: { deletionTimestamp: ago(1) },
        spec: two,
        status: { phase: 'Succeeded', containerStatuses: [ended({ reason: 'Completed', exitCode: 0 })] },
      },
      '0/2',
      'Completed',
      '0',
    ],
    [
      'on a lost node',
      {
        metadata: { deletionTimestamp: ago(1) },
        spec: two,
        status: { phase: 'Running', reason: 'NodeLost' },
      },
      '0/2',
      'Unknown',
      '0',
    ],
    [
      'gated',
      {
        spec: two,
        status: {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
        },
      },
      '0/2',
      'SchedulingGated',
      '0',
    ],
    [
      'first init container',
      {
        spec: init,
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            { name: 'i', ...running(false) },
            { name: 'j', ...waiting('PodInitializing') },
          ],
        },
      },
      '0/2',
      'Init:0/2',
      '0',
    ],
    [
      'second init container',
      {
        spec: init,
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            { name: 'i', ...ended({ exitCode: 0 }) },
            { name: 'j', ...waiting('PodInitializing') },
          ],
        },
      },
      '0/2',
      'Init:1/2',
      '0',
    ],
    [
      'init failed',
      {
        spec: init,
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ name: 'i', ...ended({ exitCode: 1, reason: 'Error' }) }],
        },
      },
      '0/2',
      'Init:Error',
      '0',
    ],
    [
      'init failed without a reason',
      {
        spec: init,
        status: { phase: 'Pending', initContainerStatuses: [{ name: 'i', ...ended({ exitCode: 1 }) }] },
      },
      '0/2',
      'Init:ExitCode:1',
      '0',
    ],
    [
      'init crashing',
      {
        spec: init,
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ name: 'i', ...waiting('CrashLoopBackOff', { restartCount: 4 }) }],
        },
      },
      '0/2',
      'Init:CrashLoopBackOff',
      '4',
    ],
    [
      'initialised',
      {
        spec: init,
        status: {
          phase: 'Running',
          initContainerStatuses: [
            { name: 'i', ...ended({ exitCode: 0 }, { restartCount: 2 }) },
            { name: 'j', ...ended({ exitCode: 0 }) },
          ],
          containerStatuses: [running(), running()],
        },
      },
      '2/2',
      'Running',
      '0',
    ],
    [
      'with a sidecar',
      {
        spec: sidecar,
        status: {
          phase: 'Running',
          initContainerStatuses: [{ name: 's', started: true, ...running(true, { restartCount: 1 }) }],
          containerStatuses: [running()],
        },
      },
      '2/2',
      'Running',
      '1',
    ],
  ] as [string, object, string, string, string][])('%s', (_name, pod, ready, status, restarts) => {
    expect(shown('v1 Pod', pod)).toMatchObject({
      Ready: ready,
      Status: status,
      Restarts: restarts,
      Age: '90s',
    });
  });

  test('wide columns', () => {
    expect(shown('v1 Pod', { spec: two })).toMatchObject({
      IP: '<none>',
      Node: '<none>',
      'Nominated Node': '<none>',
      'Readiness Gates': '<none>',
    });
    const pod = {
      spec: {
        ...two,
        nodeName: 'kind-worker',
        readinessGates: [{ conditionType: 'g' }, { conditionType: 'h' }],
      },
      status: {
        podIPs: [{ ip: '192.168.1.2' }],
        nominatedNodeName: 'n',
        conditions: [{ type: 'g', status: 'True' }],
      },
    };
    expect(shown('v1 Pod', pod)).toMatchObject({
      IP: '192.168.1.2',
      Node: 'kind-worker',
      'Nominated Node': 'n',
      'Readiness Gates': '1/2',
    });
  });
});

const event = {
  type: 'Warning',
  reason: 'Failed',
  message: ' broken \n',
  involvedObject: { kind: 'Pod', name: 'echo', fieldPath: 'spec.containers{echo}' },
  source: { component: 'kubelet', host: 'kind-worker' },
  firstTimestamp: ago(300),
  lastTimestamp: ago(144),
  count: 4,
};
const workload = {
  selector: {
    matchLabels: { b: '1', a: '2' },
    matchExpressions: [{ key: 'c', operator: 'In', values: ['y', 'x'] }],
  },
  template: {
    spec: {
      nodeSelector: { k: 'v' },
      containers: [
        { name: 'p', image: 'i:1' },
        { name: 'q', image: 'i:2' },
      ],
    },
  },
};
const subset = (...ips: string[]) => ({ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 80 }] });

describe('cells', () => {
  test.each([
    [
      'v1 Node',
      { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      { Status: 'Ready', Roles: '<none>' },
    ],
    ['v1 Node', { status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }, { Status: 'NotReady' }],
    ['v1 Node', { spec: { unschedulable: true } }, { Status: 'Unknown,SchedulingDisabled' }],
    [
      'v1 Node',
      { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/role': 'a' } } },
      { Roles: 'a,control-plane' },
    ],
    [
      'v1 Node',
      {
        status: {
          addresses: [
            { type: 'Hostname', address: 'n' },
            { type: 'InternalIP', address: '172.17.0.2' },
          ],
          nodeInfo: { kubeletVersion: 'v1', containerRuntimeVersion: 'containerd://1.6.20' },
        },
      },
      {
        'Internal-IP': '172.17.0.2',
        'External-IP': '<none>',
        Version: 'v1',
        'Container-Runtime': 'containerd://1.6.20',
        'OS-Image': '<unknown>',
      },
    ],
    [
      'apps/v1 Deployment',
      {
        spec: { replicas: 3, ...workload },
        status: { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 },
      },
      {
        Ready: '2/3',
        'Up-to-date': 3,
        Available: 1,
        Containers: 'p,q',
        Images: 'i:1,i:2',
        Selector: 'a=2,b=1,c in (x,y)',
      },
    ],
    [
      'apps/v1 ReplicaSet',
      { spec: { replicas: 3 }, status: { replicas: 2, readyReplicas: 1 } },
      { Desired: 3, Current: 2, Ready: 1, Selector: '<none>' },
    ],
    [
      'v1 ReplicationController',
      { spec: { replicas: 3, selector: { b: '1', a: '2' } }, status: { replicas: 2 } },
      { Desired: 3, Current: 2, Ready: 0, Selector: 'a=2,b=1' },
    ],
    [
      'apps/v1 DaemonSet',
      {
        spec: workload,
        status: {
          desiredNumberScheduled: 4,
          currentNumberScheduled: 3,
          numberReady: 2,
          updatedNumberScheduled: 1,
          numberAvailable: 0,
        },
      },
      { Desired: 4, Current: 3, Ready: 2, 'Up-to-date': 1, Available: 0, 'Node Selector': 'k=v' },
    ],
    [
      'v1 Service',
      {
        spec: {
          type: 'ClusterIP',
          clusterIP: '10.96.0.1',
          ports: [
            { port: 443, protocol: 'TCP' },
            { port: 53, protocol: 'UDP' },
          ],
          selector: { b: '1', a: '2' },
        },
      },
      {
        Type: 'ClusterIP',
        'Cluster-IP': '10.96.0.1',
        'External-IP': '<none>',
        'Port(s)': '443/TCP,53/UDP',
        Selector: 'a=2,b=1',
      },
    ],
    [
      'v1 Service',
      {
        spec: {
          type: 'NodePort',
          externalIPs: ['1.2.3.4'],
          ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }],
        },
      },
      { 'External-IP': '1.2.3.4', 'Port(s)': '80:30080/TCP', Selector: '<none>' },
    ],
    ['v1 Service', { spec: { type: 'LoadBalancer' } }, { 'External-IP': '<pending>', 'Port(s)': '<none>' }],
    [
      'v1 Service',
      { spec: { type: 'LoadBalancer' }, status: { loadBalancer: { ingress: [{ hostname: 'h' }] } } },
      { 'External-IP': 'h' },
    ],
    [
      'v1 Service',
      { spec: { type: 'ExternalName', externalName: 'e.com' } },
      { 'External-IP': 'e.com', 'Cluster-IP': '<none>' },
    ],
    ['v1 Endpoints', {}, { Endpoints: '<none>' }],
    ['v1 Endpoints', { subsets: [subset('1.1.1.1', '1.1.1.2')] }, { Endpoints: '1.1.1.1:80,1.1.1.2:80' }],
    [
      'v1 Endpoints',
      { subsets: [subset('1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'), subset('fd00::1')] },
      { Endpoints: '1.1.1.1:80,1.1.1.2:80,1.1.1.3:80 + 2 more...' },
    ],
    [
      'discovery.k8s.io/v1 EndpointSlice',
      {
        addressType: 'IPv4',
        ports: [{ port: 80 }, { name: 'all' }],
        endpoints: [{ addresses: ['1.1.1.1'] }],
      },
      { AddressType: 'IPv4', Ports: '80,all', Endpoints: '1.1.1.1' },
    ],
    [
      'discovery.k8s.io/v1 EndpointSlice',
      { addressType: 'IPv4' },
      { Ports: '<unset>', Endpoints: '<unset>' },
    ],
    [
      'v1 Event',
      event,
      {
        'Last Seen': '2m24s',
        Type: 'Warning',
        Reason: 'Failed',
        Object: 'pod/echo',
        Message: 'broken',
        Subobject: 'spec.containers{echo}',
        Source: 'kubelet, kind-worker',
        'First Seen': '5m',
        Count: 4,
        Name: 'x',
      },
    ],
    [
      'v1 Event',
      {
        eventTime: ago(30),
        reportingComponent: 'c',
        reportingInstance: 'i',
        series: { count: 7, lastObservedTime: ago(5) },
      },
      { 'Last Seen': '5s', 'First Seen': '30s', Count: 7, Source: 'c, i' },
    ],
    ['v1 Event', {}, { 'Last Seen': '<unknown>', Count: 1 }],
    ['v1 Namespace', { status: { phase: 'Terminating' } }, { Status: 'Terminating' }],
    ['v1 ConfigMap', { data: { a: '1' }, binaryData: { b: '' } }, { Data: 2 }],
    ['v1 Secret', { type: 'Opaque', data: { a: '' } }, { Type: 'Opaque', Data: 1 }],
    ['v1 ServiceAccount', {}, { Secrets: 0, Age: '90s' }],
    ['coordination.k8s.io/v1 Lease', { spec: { holderIdentity: 'kind-worker' } }, { Holder: 'kind-worker' }],
    ['rbac.authorization.k8s.io/v1 ClusterRole', {}, { 'Created At': ago(90) }],
    [
      'rbac.authorization.k8s.io/v1 RoleBinding',
      {
        roleRef: { kind: 'Role', name: 'r' },
        subjects: [
          { kind: 'User', name: 'u' },
          { kind: 'User', name: 'v' },
          { kind: 'ServiceAccount', name: 's', namespace: 'n' },
        ],
      },
      { Role: 'Role/r', Users: 'u, v', Groups: '', ServiceAccounts: 'n/s' },
    ],
  ] as [string, object, Record<string, unknown>][])('%s %j', (name, object, expected) => {
    expect(shown(name, object)).toMatchObject(expected);
  });
});
