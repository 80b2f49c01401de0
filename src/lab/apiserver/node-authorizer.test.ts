import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { kindByName } from '../../kube/kinds.ts';
import { NodeAuthorizer } from './node-authorizer.ts';
import { keyOf, ROOT } from './objects.ts';
import { FakeStorage } from './storage.fake.ts';
import { WatchHub } from './watch-hub.ts';

const podKind = kindByName('v1', 'Pod')!;
const UNRELATED = "no relationship found between node 'n1' and this object";

describe('what a node may', () => {
  const storage = new FakeStorage();
  const onError = (error: unknown) => {
    throw error;
  };
  const hub = new WatchHub({ storage, prefix: ROOT, onError });
  const nodes = new NodeAuthorizer({ storage, hub, onError });

  beforeAll(async () => {
    const put = async (name: string, spec: object, annotations: object = {}) => {
      const pod = { metadata: { name, namespace: 'ns', annotations }, spec };
      await storage.put(keyOf(podKind, 'ns', name), JSON.stringify(pod), 0);
    };
    await put('mine', {
      nodeName: 'n1',
      serviceAccountName: 'account',
      imagePullSecrets: [{ name: 'pull' }],
      containers: [
        { name: 'a', envFrom: [{ secretRef: { name: 'env-from' } }, { configMapRef: { name: 'env-from' } }] },
      ],
      initContainers: [{ name: 'b', env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'env' } } }] }],
      ephemeralContainers: [
        { name: 'c', env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'debug' } } }] },
      ],
      volumes: [
        { name: 's', secret: { secretName: 'volume' } },
        { name: 'c', configMap: { name: 'volume' } },
        { name: 'f', flexVolume: { driver: 'd', secretRef: { name: 'flex' } } },
        { name: 'i', csi: { driver: 'd', nodePublishSecretRef: { name: 'csi' } } },
        {
          name: 'p',
          projected: { sources: [{ secret: { name: 'in-s' } }, { configMap: { name: 'in-c' } }] },
        },
      ],
    });
    await put('theirs', { nodeName: 'n2', volumes: [{ name: 's', secret: { secretName: 'theirs' } }] });
    await put('unbound', { volumes: [{ name: 's', secret: { secretName: 'unbound' } }] });
    await put(
      'picture',
      {
        nodeName: 'n1',
        serviceAccountName: 'stolen',
        volumes: [{ name: 's', secret: { secretName: 'stolen' } }],
      },
      { 'kubernetes.io/config.mirror': 'x' },
    );
    hub.start((await storage.get(ROOT)).revision);
    await nodes.start();
  });
  afterAll(() => {
    nodes.stop();
    hub.stop();
  });

  function ask(text: string, fieldSelector = '', who = 'system:node:n1', groups = ['system:nodes']) {
    const [verb = '', resource = '', subject = ''] = text.split(' ');
    const [path = '', subresource = ''] = resource.split('/');
    const [, plural = '', group = ''] = /^([^.]*)\.?(.*)$/.exec(path) ?? [];
    const [namespace, name] = subject.includes('/') ? subject.split('/') : ['', subject];
    const user = { name: who, uid: '', groups };
    return nodes.authorize(
      { user, verb, group, plural, subresource, namespace: namespace!, name: name! },
      fieldSelector,
    );
  }

  test.each([
    'get nodes n1',
    'list nodes n1',
    'watch nodes n1',
    'create nodes',
    'update nodes n1',
    'patch nodes n1',
    // Whose it is, NodeRestriction looks at.
    'patch nodes n2',
    'update nodes/status n1',
    'patch nodes/status n1',
    'get pods ns/mine',
    'list pods ns/mine',
    'create pods ns/',
    'delete pods ns/mine',
    'delete pods ns/theirs',
    'update pods/status ns/mine',
    'patch pods/status ns/mine',
    'create pods/eviction ns/mine',
    'get secrets ns/pull',
    'get secrets ns/env-from',
    'get secrets ns/env',
    'get secrets ns/volume',
    'list secrets ns/volume',
    'watch secrets ns/volume',
    'get secrets ns/flex',
    'get secrets ns/csi',
    'get secrets ns/in-s',
    'get configmaps ns/env-from',
    'get configmaps ns/debug',
    'get configmaps ns/volume',
    'get configmaps ns/in-c',
    'get serviceaccounts ns/account',
    'create serviceaccounts/token ns/account',
    'get leases.coordination.k8s.io kube-node-lease/n1',
    'create leases.coordination.k8s.io kube-node-lease/',
    'update leases.coordination.k8s.io kube-node-lease/n1',
    'patch leases.coordination.k8s.io kube-node-lease/n1',
    'delete leases.coordination.k8s.io kube-node-lease/n1',
    'list services',
    'watch services',
    'create events ns/',
    'patch events ns/x',
    'create tokenreviews.authentication.k8s.io',
    'create subjectaccessreviews.authorization.k8s.io',
  ])('%s', (text) => {
    expect(ask(text)).toEqual({ allowed: true, reason: '' });
  });

  test.each([
    ['get nodes n2', "node 'n1' cannot read 'n2', only its own Node object"],
    ['list nodes', "node 'n1' cannot read all nodes, only its own Node object"],
    ['watch nodes', "node 'n1' cannot read all nodes, only its own Node object"],
    ['delete nodes n1', ''],
    ['deletecollection nodes', ''],
    ['get nodes/status n1', ''],
    ['create nodes/proxy n1', ''],
    ['get pods ns/theirs', UNRELATED],
    ['get pods ns/gone', UNRELATED],
    ['get pods other/mine', UNRELATED],
    ['list pods', 'can only list/watch pods with spec.nodeName field selector'],
    ['watch pods ns/theirs', UNRELATED],
    ['update pods ns/mine', ''],
    ['patch pods ns/mine', ''],
    ['deletecollection pods ns/', ''],
    ['get pods/status ns/mine', ''],
    ['create pods/binding ns/mine', ''],
    ['create pods/exec ns/mine', ''],
    ['get pods/log ns/mine', 'cannot get subresource'],
    ['get secrets ns/theirs', UNRELATED],
    ['get secrets ns/unbound', UNRELATED],
    ['get secrets ns/stolen', UNRELATED],
    ['get secrets ns/volume-of-nobody', UNRELATED],
    ['list secrets ns/', 'No Object name found'],
    ['list secrets', 'can only read namespaced object of this type'],
    ['update secrets ns/volume', 'can only read resources of this type'],
    ['get configmaps ns/pull', UNRELATED],
    ['get serviceaccounts ns/stolen', UNRELATED],
    ['create serviceaccounts/token ns/stolen', UNRELATED],
    ['create serviceaccounts/token ns/default', UNRELATED],
    ['update serviceaccounts/token ns/account', 'can only create tokens for individual service accounts'],
    ['create serviceaccounts ns/account', 'can only create token subresource of serviceaccount'],
    [
      'get leases.coordination.k8s.io kube-node-lease/n2',
      'can only access node lease with the same name as the requesting node',
    ],
    [
      'get leases.coordination.k8s.io kube-system/n1',
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      'list leases.coordination.k8s.io kube-node-lease/',
      'can only get, create, update, patch, or delete a node lease',
    ],
    [
      'watch leases.coordination.k8s.io kube-node-lease/n1',
      'can only get, create, update, patch, or delete a node lease',
    ],
    ['create services ns/', ''],
    ['patch services/status ns/x', ''],
    ['get events ns/x', ''],
    ['delete events ns/x', ''],
    ['create roles.rbac.authorization.k8s.io ns/', ''],
    ['get deployments.apps ns/x', ''],
  ])('not: %s', (text, reason) => {
    expect(ask(text)).toEqual({ allowed: false, reason });
  });

  test.each([
    { selector: 'spec.nodeName=n1', allowed: true },
    { selector: 'spec.nodeName==n1', allowed: true },
    { selector: 'status.phase=Running,spec.nodeName=n1', allowed: true },
    { selector: 'spec.nodeName=n2', allowed: false },
    { selector: 'spec.nodeName!=n1', allowed: false },
    { selector: 'status.phase=n1', allowed: false },
  ])('list pods of $selector: $allowed', ({ selector, allowed }) => {
    for (const verb of ['list', 'watch']) expect(ask(`${verb} pods`, selector).allowed).toBe(allowed);
  });

  test('is nothing for whoever is not a node, or no particular one', () => {
    const who = (name: string, groups: string[]) => ask('get nodes n1', '', name, groups);
    expect(who('system:node:n1', [])).toEqual({ allowed: false, reason: '' });
    expect(who('n1', ['system:nodes'])).toEqual({ allowed: false, reason: '' });
    expect(who('system:node:', ['system:nodes'])).toEqual({
      allowed: false,
      reason: 'unknown node for user "system:node:"',
    });
  });
});
