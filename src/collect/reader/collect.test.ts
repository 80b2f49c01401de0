import { beforeEach, describe, expect, test } from 'bun:test';
import { ApiError } from '../../kube/client.ts';
import { ConnectionError } from '../../kube/connection-error.ts';
import { clusterRoleBindings, daemonSets, namespaces, nodes, pods } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference, Pod } from '../../kube/types.ts';
import type { World } from '../../path/model/world.ts';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { InputError } from '../../util/errors.ts';
import { FakeCluster, quietOptions } from './cluster.fake.ts';
import { type CollectOptions, collectCluster, plannedObjects } from './collect.ts';
import { ENDS_ANNOTATION, RUN_LABEL } from './manifests.ts';

let cluster: FakeCluster;
let warnings: string[];
beforeEach(() => {
  cluster = new FakeCluster();
  warnings = [];
});

function optionsOf(given: Partial<CollectOptions> = {}): CollectOptions {
  return quietOptions({ warn: (line) => warnings.push(line), ...given });
}

function look(given: Partial<CollectOptions> = {}): Promise<World> {
  return collectCluster(cluster, optionsOf(given), cluster.open);
}

/** Why each node is unknown; undefined for one that is not. */
function reasons(world: World): Record<string, string | undefined> {
  return Object.fromEntries(
    [...world.reports].map(([node, report]) => [node, 'unknown' in report ? report.unknown : undefined]),
  );
}

/** All that a run has left in the API. */
async function leftovers(): Promise<string[]> {
  const [spaces, left] = await Promise.all([cluster.list(namespaces), cluster.list(pods)]);
  return [...spaces.items, ...left.items].map(({ metadata }) => metadata?.name ?? '');
}

/** Time that passes only in {@link ManualClock.runUntil}. */
class ManualClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z');
  readonly #sleepers = new Set<{ at: number; wake(): void }>();

  readonly now = leapingNow();

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Lets time pass until `work` is done, whenever nothing else is under way. */
  async runUntil<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    void work.then(
      () => {
        isDone = true;
      },
      () => {
        isDone = true;
      },
    );
    while (!isDone) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const [next] = [...this.#sleepers].sort((a, b) => a.at - b.at);
      if (next === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers.delete(next);
      next.wake();
    }
    return work;
  }
}

test('every node is examined, at the cost of three requests each and one watch, and nothing is left', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `node-${i}`);
  for (const name of names) await cluster.addNode(name);
  cluster.requests.length = 0;
  expect(reasons(await look())).toEqual(Object.fromEntries(names.map((name) => [name, undefined])));
  expect(await leftovers()).toEqual([]);
  expect(cluster.opened).toHaveLength(names.length);
  const count = (method: string, path: RegExp) =>
    cluster.requests.filter((request) => request.method === method && path.test(request.path)).length;
  expect(count('POST', /\/pods$/)).toBe(names.length);
  expect(count('GET', /watch=true/)).toBe(1);
});

test.each([
  [
    'cannot-pull',
    /^its pod has not started: ImagePullBackOff: Back-off pulling image "x"; give --image with one that is on the node$/,
  ],
  ['full', /^its pod ended \(Failed\): OutOfpods: Node did not have enough resource: pods$/],
  ['silent', /^its pod has not started: Pending \(waited 60 s; see --timeout\)$/],
] as const)('a node whose kubelet %s is unknown with the reason, and no other is', async (kubelet, why) => {
  await cluster.addNode('bad', kubelet);
  await cluster.addNode('good');
  const clock = new ManualClock();
  const world = await clock.runUntil(look({ clock }));
  expect(reasons(world)).toEqual({ bad: expect.stringMatching(why), good: undefined });
  expect(await leftovers()).toEqual([]);
});

test.each([
  [
    'Windows',
    { nodeInfo: { operatingSystem: 'windows' } },
    'it runs windows, and only Linux nodes are examined',
  ],
  [
    'silent',
    {
      conditions: [
        {
          type: 'Ready',
          status: 'Unknown',
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
        },
      ],
    },
    'its kubelet does not report (NodeStatusUnknown: Kubelet stopped posting node status.)',
  ],
  ['never reported', { conditions: [] }, 'no kubelet has reported whether the node is ready'],
] as const)('no pod is created on a node that is %s', async (_, status, why) => {
  await cluster.addNode('bad', 'silent', status as never);
  await cluster.addNode('good');
  const world = await look();
  expect(reasons(world)).toEqual({ bad: expect.stringContaining(`not examined: ${why}`), good: undefined });
  const created = cluster.requests.filter(({ method, path }) => method === 'POST' && /\/pods$/.test(path));
  expect(created).toHaveLength(1);
});

test.each([
  ['cordoned', { unschedulable: true }],
  ['tainted', { taints: [{ key: 'maintenance', value: 'now', effect: 'NoExecute' }] }],
  [
    'out of reach for the scheduler',
    { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] },
  ],
])('a node that is %s is examined: its pod is bound to it, and tolerates everything', async (_, spec) => {
  cluster.kubelets.set('a', 'starts');
  const conditions = [{ type: 'Ready', status: 'True' }];
  await cluster.create(nodes, { metadata: { name: 'a' }, spec, status: { conditions } });
  expect(reasons(await look())).toEqual({ a: undefined });
  const [created] = cluster.requests.filter(({ method, path }) => method === 'POST' && /\/pods$/.test(path));
  expect(created!.body).toMatchObject({ spec: { nodeName: 'a', tolerations: [{ operator: 'Exists' }] } });
});

describe('a choice of nodes', () => {
  const created = () =>
    cluster.requests
      .filter(({ method, path }) => method === 'POST' && /\/pods$/.test(path))
      .map(({ body }) => (body as { spec: { nodeName: string } }).spec.nodeName);

  test('has pods created on these alone, and the rest is not asked', async () => {
    for (const name of ['a', 'b', 'c']) await cluster.addNode(name);
    const choose = () => new Set(['a', 'c']);
    expect(reasons(await look({ choose }))).toEqual({ a: undefined, c: undefined });
    expect(created().toSorted()).toEqual(['a', 'c']);
    const planned = await plannedObjects(cluster, optionsOf({ choose }));
    expect(planned.map(({ kind }) => kind)).toEqual(['Namespace', 'Pod', 'Pod']);
  });

  test('is made from the objects', async () => {
    await cluster.addNode('a');
    let seen: string[] = [];
    const choose: CollectOptions['choose'] = ({ nodes }) => {
      seen = nodes.map(({ metadata }) => metadata?.name ?? '');
      return undefined;
    };
    expect(reasons(await look({ choose }))).toEqual({ a: undefined });
    expect(seen).toEqual(['a']);
  });

  test.each([
    ['of none', () => new Set<string>(), undefined],
    [
      'that is an error',
      () => {
        throw new Error('cannot examine node x: not found');
      },
      'cannot examine node x: not found',
    ],
  ])('%s has nothing created', async (_, choose, error) => {
    await cluster.addNode('a');
    cluster.requests.length = 0;
    if (error === undefined) expect(reasons(await look({ choose }))).toEqual({});
    else await expect(look({ choose })).rejects.toThrow(error);
    const sent = cluster.requests.filter(({ method, path }) => method !== 'GET' && !/reviews/.test(path));
    expect(sent).toEqual([]);
  });
});

test('a node that is not ready for want of a CNI is examined: it can start pods that use its own network', async () => {
  const message = 'container runtime network not ready: cni plugin not initialized';
  const conditions = [{ type: 'Ready', status: 'False', reason: 'KubeletNotReady', message }];
  await cluster.addNode('a', 'starts', { conditions });
  expect(reasons(await look())).toEqual({ a: undefined });
});

describe('an API server that is busy or restarts', () => {
  const status = (code: number) =>
    new ApiError('POST', '/x', code, { code, message: 'later', details: { retryAfterSeconds: 0 } });

  test.each([
    ['429', () => status(429)],
    ['503', () => status(503)],
    ['no connection', () => new ConnectionError('POST', 'https://x', {}, { code: 'ECONNREFUSED' })],
  ])('is asked again: %s', async (_, error) => {
    await cluster.addNode('a');
    await cluster.addNode('b');
    const failed = new Set<string>();
    cluster.intercept = ({ method, path }) => {
      const request = `${method} ${path}`;
      // What the fake itself does as a kubelet and as a controller is no part of it.
      const isOurs = method === 'POST' || method === 'DELETE' || (method === 'GET' && /\?limit=/.test(path));
      if (!isOurs || failed.has(request)) return;
      failed.add(request);
      throw error();
    };
    const clock = new ManualClock();
    expect(reasons(await clock.runUntil(look({ clock })))).toEqual({ a: undefined, b: undefined });
    expect(warnings.join('\n')).toContain('trying again: ');
    expect(await leftovers()).toEqual([]);
  });

  test('takes watches and sessions with it, which are opened again', async () => {
    await cluster.addNode('a');
    await cluster.addNode('b');
    const broken = new Set<string>();
    cluster.answering = (node, request) => {
      if (request.do !== 'report' || broken.has(node)) return;
      broken.add(node);
      cluster.disconnect();
      throw new Error('the connection ended before the program did');
    };
    expect(reasons(await look())).toEqual({ a: undefined, b: undefined });
    expect(cluster.opened.toSorted()).toEqual(['own-image a', 'own-image a', 'own-image b', 'own-image b']);
    expect(await leftovers()).toEqual([]);
  });
});

test('a node that stops to answer is unknown with the reason, and no other is', async () => {
  await cluster.addNode('a');
  await cluster.addNode('b');
  cluster.answering = (node, request) => {
    if (node === 'a' && request.do === 'report') throw new Error('the program was killed');
  };
  expect(reasons(await look())).toEqual({ a: 'the program was killed', b: undefined });
});

test('a program of another version in the image is not believed', async () => {
  await cluster.addNode('a');
  cluster.version = '9.9.9';
  expect(reasons(await look()).a).toContain('the image has version 9.9.9 of this program, not 1.2.3');
});

test('an interruption removes everything, and is what the caller gets', async () => {
  for (const name of ['a', 'b', 'c']) await cluster.addNode(name);
  const stop = new AbortController();
  cluster.answering = () => stop.abort(new Error('interrupted'));
  await expect(look({ signal: stop.signal })).rejects.toThrow('interrupted');
  expect(await leftovers()).toEqual([]);
});

test.each([
  ['silent', []],
  [
    'starts',
    [expect.stringMatching(/^not removed: pod on bad: its kubelet does not confirm that it has ended; /)],
  ],
] as const)(
  'a pod whose kubelet %s, and which no kubelet ends, is removed from the API',
  async (kubelet, expected) => {
    await cluster.addNode('bad', kubelet);
    await cluster.addNode('good');
    cluster.unreachable.add('bad');
    const clock = new ManualClock();
    await clock.runUntil(look({ clock }));
    expect(await leftovers()).toEqual([]);
    expect(warnings).toEqual([...expected]);
  },
);

test('a namespace that something holds is reported, with what holds it and until when its pods live', async () => {
  await cluster.addNode('a');
  cluster.holdsNamespaces = true;
  const clock = new ManualClock();
  const world = await clock.runUntil(look({ clock }));
  expect(reasons(world)).toEqual({ a: undefined });
  expect(warnings).toEqual([
    expect.stringMatching(
      /^not removed: namespace hostport-doctor-\w+: still being deleted: .*example\.com\/held; its pods end by themselves by 20/,
    ),
  ]);
});

describe('rights', () => {
  test.each([
    ['create namespaces', {}, 'you may not create namespaces'],
    ['create pods/exec', {}, 'you may not create pods/exec in namespace hostport-doctor-'],
    ['create pods', { workNamespace: 'tools' }, 'you may not create pods in namespace tools'],
  ])('without %s, objects alone are read, and one line says what is missing', async (denied, given, why) => {
    await cluster.addNode('a');
    cluster.denied.add(denied);
    cluster.requests.length = 0;
    expect(reasons(await look(given)).a).toContain(`not examined: ${why}`);
    expect(warnings).toHaveLength(1);
    expect(cluster.requests.filter(({ method, path }) => method !== 'GET' && !/reviews/.test(path))).toEqual(
      [],
    );
  });

  test('where admission refuses the namespace, objects alone are read, with its words', async () => {
    await cluster.addNode('a');
    cluster.intercept = ({ method, path }) => {
      if (method !== 'POST' || !/\/namespaces$/.test(path)) return;
      const message = 'admission webhook "quota.example.com" denied the request: no more namespaces';
      throw new ApiError(method, path, 403, { code: 403, reason: 'Forbidden', message });
    };
    expect(reasons(await look()).a).toContain('quota.example.com');
    expect(warnings).toEqual([expect.stringMatching(/^nodes are not examined: .*no more namespaces/)]);
  });

  test('where admission refuses the pods, as GKE Autopilot does, nodes are unknown with its words, and nothing is left', async () => {
    await cluster.addNode('a');
    cluster.intercept = ({ method, path }) => {
      if (method !== 'POST' || !/\/pods$/.test(path)) return;
      const message =
        'admission webhook "policy.example.com" denied the request: host network is not allowed';
      throw new ApiError(method, path, 403, { code: 403, reason: 'Forbidden', message });
    };
    const clock = new ManualClock();
    const world = await clock.runUntil(look({ clock }));
    expect(reasons(world).a).toContain('policy.example.com');
    expect(await leftovers()).toEqual([]);
  });

  test('without the right to list nodes there is nothing to examine', async () => {
    cluster.denied.add('list nodes');
    await expect(look()).rejects.toThrow('cannot examine the cluster: you may not list nodes; ');
  });

  test('in a namespace that is there, no right to create one is needed, and it stays', async () => {
    await cluster.addNode('a');
    await cluster.create(namespaces, { metadata: { name: 'tools' } });
    for (const verb of ['create', 'delete', 'get']) cluster.denied.add(`${verb} namespaces`);
    expect(reasons(await look({ workNamespace: 'tools' }))).toEqual({ a: undefined });
    expect(await leftovers()).toEqual(['tools']);
  });
});

test('where no node can have the image, that is the error, and nothing is created', async () => {
  await cluster.addNode('a');
  await expect(look({ imageProblem: 'no such image' })).rejects.toThrow(
    new InputError('cannot examine the nodes: no such image'),
  );
  const created = ({ method, path }: { method: string; path: string }) =>
    method === 'POST' && /\/(?:namespaces|pods)$/.test(path);
  expect(cluster.requests.filter(created)).toEqual([]);
});

test.each([
  [
    'has no nodes that can be examined',
    () => cluster.addNode('w', 'silent', { nodeInfo: { operatingSystem: 'windows' } } as never),
  ],
  [
    'allows no pods',
    async () => {
      await cluster.addNode('a');
      cluster.denied.add('create pods');
    },
  ],
])('where no node can have the image, a cluster that %s is diagnosed by its API', async (_, make) => {
  await make();
  expect((await look({ imageProblem: 'no such image' })).probes).toEqual([]);
});

describe('the agent', () => {
  const NAME = 'hostport-agent';
  const container = { name: 'agent', securityContext: { capabilities: { add: ['SYS_ADMIN'] } } };

  /** What an installation creates in the API, but for its pods. */
  const installed = async (namespace = 'kube-system') => {
    const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NAME };
    await cluster.create(clusterRoleBindings, { metadata: { name: NAME }, subjects, roleRef });
    return cluster.create(daemonSets, { metadata: { name: NAME, namespace } });
  };
  const ownerOf = ({ metadata }: KubeObject): OwnerReference => ({
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    name: NAME,
    uid: metadata!.uid!,
    controller: true,
  });
  /** A pod as the agent's; `change` makes it another. */
  const run = async (node: string, set: KubeObject, change: (pod: Pod) => void = () => {}) => {
    const { namespace = '' } = set.metadata ?? {};
    const pod: Pod = {
      metadata: {
        name: `agent-${node}`,
        namespace,
        labels: { 'app.kubernetes.io/name': NAME },
        ownerReferences: [ownerOf(set)],
      },
      spec: {
        nodeName: node,
        hostNetwork: true,
        serviceAccountName: NAME,
        containers: [structuredClone(container)],
      },
    };
    change(pod);
    await cluster.create(pods, pod);
    const made = await cluster.get(pods, pod.metadata!.name!, pod.metadata!.namespace);
    await cluster.update(pods, { ...made, status: { phase: 'Running' } }, 'status');
  };

  test('is used where it is installed, instead of a pod', async () => {
    await cluster.addNode('a');
    await cluster.addNode('b');
    await run('a', await installed());
    expect(reasons(await look())).toEqual({ a: undefined, b: undefined });
    expect(cluster.opened.toSorted()).toEqual(['agent a', 'own-image b']);
    expect(await leftovers()).toEqual(['agent-a']);
  });

  test('is used, and only other nodes are unknown, where no node can have the image of pods', async () => {
    await cluster.addNode('a');
    await cluster.addNode('b');
    await run('a', await installed());
    expect(reasons(await look({ imageProblem: 'no such image' }))).toEqual({
      a: undefined,
      b: 'no such image',
    });
    expect(cluster.opened).toEqual(['agent a']);
    expect(await leftovers()).toEqual(['agent-a']);
  });

  test('of another version is not used', async () => {
    await cluster.addNode('a');
    await run('a', await installed());
    const { open } = cluster;
    const reasonsOf = await collectCluster(cluster, optionsOf(), async (container, how) => {
      cluster.version = how === 'agent' ? '0.0.1' : '1.2.3';
      return open(container, how);
    });
    expect(reasons(reasonsOf)).toEqual({ a: undefined });
    expect(cluster.opened).toEqual(['agent a', 'own-image a']);
  });

  test('that may not enter the namespaces of pods is used only where no probes are sent', async () => {
    await cluster.addNode('a');
    await run('a', await installed(), ({ spec }) => {
      spec!.containers[0]!.securityContext = { capabilities: { add: ['NET_ADMIN'] } };
    });
    await look();
    await look({ probes: false });
    expect(cluster.opened).toEqual(['own-image a', 'agent a']);
  });

  const STRANGERS: [what: string, change: (pod: Pod) => void][] = [
    ['of no DaemonSet', ({ metadata }) => delete metadata!.ownerReferences],
    [
      'of another DaemonSet of that name',
      ({ metadata }) => {
        metadata!.ownerReferences![0]!.uid = 'another';
      },
    ],
    [
      'which the DaemonSet does not control',
      ({ metadata }) => delete metadata!.ownerReferences![0]!.controller,
    ],
    [
      'of another service account',
      ({ spec }) => {
        spec!.serviceAccountName = 'default';
      },
    ],
    [
      'in a network of its own',
      ({ spec }) => {
        spec!.hostNetwork = false;
      },
    ],
    [
      'without its container',
      ({ spec }) => {
        spec!.containers[0]!.name = 'other';
      },
    ],
    [
      'in another namespace',
      ({ metadata }) => {
        metadata!.namespace = 'shop';
      },
    ],
  ];
  test.each(STRANGERS)('is not a pod with its label %s', async (_, change) => {
    await cluster.addNode('a');
    await run('a', await installed(), change);
    await look();
    expect(cluster.opened).toEqual(['own-image a']);
  });

  test('is not a pod with its label where nobody has bound its role', async () => {
    await cluster.addNode('a');
    await run('a', await cluster.create(daemonSets, { metadata: { name: NAME, namespace: 'shop' } }));
    await look();
    expect(cluster.opened).toEqual(['own-image a']);
  });
});

test.each([
  ['without the label of runs', (): Record<string, string> => ({})],
  ['with the label of this run', (run: string): Record<string, string> => ({ [RUN_LABEL]: run })],
])('a pod of the same name %s, which somebody else has created, is not used and stays', async (_, labels) => {
  await cluster.addNode('a');
  const { fetch } = cluster;
  let isFirst = true;
  cluster.fetch = async (method, path, body, ...rest) => {
    if (method === 'POST' && path.endsWith('/namespaces/work/pods') && isFirst) {
      isFirst = false;
      // Faster, having seen the name: the answer to the doctor is that the pod exists.
      const { metadata, spec } = structuredClone(body) as Pod;
      const [, , run = ''] = /^doctor-(([0-9a-f]+))-/.exec(metadata!.name!) ?? [];
      await cluster.create(pods, {
        metadata: { name: metadata!.name!, namespace: 'work', labels: labels(run) },
        spec: spec!,
      });
    }
    return fetch.call(cluster, method, path, body, ...rest);
  };
  const world = await look({ workNamespace: 'work' });
  expect(reasons(world).a).toMatch(/^pod doctor-.* in namespace work was created by somebody else/);
  expect(cluster.opened).toEqual([]);
  expect(await leftovers()).toHaveLength(1);
});

test('namespaces of runs that have ended go with the next run; those of others, and of runs under way, do not', async () => {
  await cluster.addNode('a');
  const ends = (time: number) => ({ [ENDS_ANNOTATION]: new Date(Date.now() + time).toISOString() });
  const ofRun = (run: string) => ({ name: `hostport-doctor-${run}`, labels: { [RUN_LABEL]: run } });
  await cluster.create(namespaces, { metadata: { ...ofRun('ended'), annotations: ends(-1000) } });
  await cluster.create(namespaces, { metadata: { ...ofRun('under-way'), annotations: ends(60_000) } });
  // Who may label namespaces may not have others deleted.
  await cluster.create(namespaces, { metadata: { ...ofRun('x'), name: 'shop', annotations: ends(-1000) } });
  await cluster.create(namespaces, { metadata: { name: 'theirs', annotations: ends(-1000) } });
  await look();
  expect(await leftovers()).toEqual(['hostport-doctor-under-way', 'shop', 'theirs']);
});

test('what would be created is what is created', async () => {
  await cluster.addNode('a');
  await cluster.addNode('windows', 'silent', { nodeInfo: { operatingSystem: 'windows' } } as never);
  const planned = await plannedObjects(cluster, optionsOf());
  expect(planned.map(({ kind }) => kind)).toEqual(['Namespace', 'Pod']);
  expect(await leftovers()).toEqual([]);
});
