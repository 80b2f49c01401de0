import { describe, expect, test } from 'bun:test';
import type { CriImage } from '../../cri/messages.ts';
import { FakeRuntime } from '../../cri/runtime.fake.ts';
import { RuntimeError } from '../../cri/runtime.ts';
import type { Container, Node, Pod } from '../../kube/types.ts';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { refusal } from './admission.ts';
import { containerConfig } from './container-config.ts';
import { fullReference, ImageProblem, Images } from './images.ts';
import { parseFlags } from './main.ts';
import { Observer } from './observe.ts';
import { PodProbes, type ProbeResult } from './probes.ts';
import { registryAuths } from './registry-auth.ts';
import { restartDelayMs } from './restart-delay.ts';
import { podHostname, portMappings, sandboxConfig } from './sandbox-config.ts';
import { staticPod } from './static-pods/manifests.ts';

/** A clock that moves only when somebody sleeps on it. */
class StepClock implements Clock {
  time = 0;
  now = leapingNow();
  monotonic = () => this.time;
  sleep = async (ms: number, signal?: AbortSignal) => {
    await Promise.resolve();
    if (signal?.aborted) throw signal.reason;
    this.time += ms;
  };
}

const image = (over: Partial<CriImage> = {}): CriImage => ({
  id: 'sha256:1',
  repoTags: [],
  repoDigests: [],
  size: 7,
  uid: undefined,
  username: '',
  ...over,
});

describe('admission', () => {
  const withPort = (hostPort: number, hostIP?: string, protocol?: string, phase?: string): Pod => ({
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort, hostIP, protocol }] }] },
    status: phase === undefined ? undefined : { phase },
  });
  test.each([
    ['the same port', withPort(80), withPort(80), 'NodePorts'],
    ['another port', withPort(80), withPort(81), undefined],
    ['another protocol', withPort(80), withPort(80, undefined, 'UDP'), undefined],
    ['two addresses', withPort(80, '127.0.0.1'), withPort(80, '172.17.0.2'), undefined],
    ['one address and any', withPort(80, '127.0.0.1'), withPort(80), 'NodePorts'],
    ['any, spelt out', withPort(80, '0.0.0.0'), withPort(80, '172.17.0.2'), 'NodePorts'],
    ['a pod that has ended', withPort(80), withPort(80, undefined, undefined, 'Failed'), undefined],
  ])('%s', (_name, mine, theirs, reason) => {
    expect(refusal(mine, { metadata: { name: 'n' } }, [theirs])?.reason).toBe(reason);
  });

  const node: Node = {
    metadata: { name: 'n', labels: { disk: 'ssd' } },
    spec: { taints: [{ key: 'k', effect: 'NoExecute' }] },
  };
  const tolerations = [{ operator: 'Exists' }];
  test.each([
    ['labels that the node lacks', { nodeSelector: { disk: 'hdd' }, tolerations }, 'NodeAffinity'],
    ['a taint', { nodeSelector: { disk: 'ssd' } }, 'TaintToleration'],
    ['neither', { nodeSelector: { disk: 'ssd' }, tolerations }, undefined],
  ])('%s', (_name, spec, reason) => {
    expect(refusal({ spec: { containers: [], ...spec } }, node, [])?.reason).toBe(reason);
  });
});

describe('images', () => {
  test.each([
    ['busybox', 'busybox:latest'],
    ['inanimate/echo-server', 'inanimate/echo-server:latest'],
    ['localhost:5000/a/b', 'localhost:5000/a/b:latest'],
    ['registry.k8s.io/pause:3.9', 'registry.k8s.io/pause:3.9'],
    [`a@sha256:${'0'.repeat(64)}`, `a@sha256:${'0'.repeat(64)}`],
    ['', undefined],
    ['UPPER', undefined],
    ['a b', undefined],
    ['a:', undefined],
    ['a:b:c', undefined],
    ['-a', undefined],
  ])('%p is %p', (text, expected) => {
    expect(fullReference(text)).toBe(expected);
  });

  const setUp = () => {
    const runtime = new FakeRuntime();
    const clock = new StepClock();
    const said: string[] = [];
    const images = new Images(runtime, clock);
    const ensure = (name: string, policy?: string, uid = 'pod-1') =>
      images
        .ensure(
          uid,
          name,
          policy,
          async () => [],
          (_type, reason) => said.push(reason),
        )
        .catch((error: unknown) => error);
    return { runtime, clock, said, images, ensure };
  };

  test.each([
    ['present, IfNotPresent', 'a:1', undefined, true, ['Pulled']],
    ['present, Always', 'a:1', 'Always', true, ['Pulling', 'Pulled']],
    ['present, latest', 'a', undefined, true, ['Pulling', 'Pulled']],
    ['present, Never', 'a:1', 'Never', true, ['Pulled']],
    ['absent, IfNotPresent', 'a:1', undefined, false, ['Pulling', 'Pulled']],
    ['absent, Never', 'a:1', 'Never', false, ['ErrImageNeverPull']],
    ['no name', 'A B', undefined, false, ['InspectFailed']],
  ])('%s', async (_name, name, policy, present, events) => {
    const { runtime, said, ensure } = setUp();
    const reference = fullReference(name) ?? name;
    runtime.registry.set(reference, image());
    if (present) runtime.images.set(reference, image());
    const result = await ensure(name, policy);
    expect(said).toEqual(events);
    expect(result instanceof ImageProblem).toBe(events.at(-1) !== 'Pulled');
  });

  test('a pull that failed is tried again with growing delays, then forgotten', async () => {
    const { runtime, clock, said, ensure } = setUp();
    const reasons: unknown[] = [];
    for (let second = 0; second <= 70; second++) {
      clock.time = second * 1_000;
      if (second === 65) runtime.registry.set('a:1', image());
      reasons.push(((await ensure('a:1')) as ImageProblem).reason);
    }
    const pulls = reasons.flatMap((reason, second) => (reason === 'ErrImagePull' ? [second] : []));
    expect(pulls).toEqual([0, 10, 30]);
    expect(reasons[1]).toBe('ImagePullBackOff');
    expect(reasons.at(-1)).toBeUndefined();
    expect(said.at(-1)).toBe('Pulled');
  });

  test('a pull that failed holds up the pod that asked for it, no other, and is forgotten with the pod', async () => {
    const { runtime, images, ensure } = setUp();
    const reason = async (uid: string) => ((await ensure('a:1', undefined, uid)) as ImageProblem).reason;
    expect(await reason('pod-1')).toBe('ErrImagePull');
    expect(await reason('pod-1')).toBe('ImagePullBackOff');
    expect(await reason('pod-2')).toBe('ErrImagePull');
    images.forget('pod-1');
    runtime.registry.set('a:1', image());
    expect(await reason('pod-1')).toBeUndefined();
  });

  test('a runtime that goes away in the middle of a pull costs no back-off', async () => {
    const { runtime, ensure } = setUp();
    runtime.registry.set('a:1', image());
    const pull = runtime.pullImage.bind(runtime);
    runtime.pullImage = () => Promise.reject(new RuntimeError('Unavailable', 'read ECONNRESET'));
    const problem = (await ensure('a:1')) as ImageProblem;
    expect([problem.reason, problem.retryInMs]).toEqual(['ErrImagePull', 1_000]);
    runtime.pullImage = pull;
    expect(await ensure('a:1')).not.toBeInstanceOf(ImageProblem);
  });

  test('the same image is pulled once for everybody who waits', async () => {
    const { runtime, ensure } = setUp();
    let pulls = 0;
    const gate = Promise.withResolvers<void>();
    runtime.pullImage = async (name) => {
      pulls++;
      await gate.promise;
      runtime.images.set(name, image());
      return 'sha256:1';
    };
    const both = Promise.all([ensure('a:1'), ensure('a:1')]);
    gate.resolve();
    await both;
    expect(pulls).toBe(1);
  });
});

test('pull secrets give credentials for their registry only', () => {
  const config = (auths: object) => ({
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  });
  const secrets = [
    config({ 'https://index.docker.io/v1/': { auth: Buffer.from('me:pa:ss').toString('base64') } }),
    config({ 'reg.test:5000': { username: 'u', password: 'p' } }),
    { data: {} },
  ];
  expect(registryAuths(secrets, 'library/busybox')).toMatchObject([{ username: 'me', password: 'pa:ss' }]);
  expect(registryAuths(secrets, 'reg.test:5000/a:1')).toMatchObject([{ username: 'u', password: 'p' }]);
  expect(registryAuths(secrets, 'other.test/a')).toEqual([]);
});

test.each([
  [0, 0, 0],
  [1, 0, 10_000],
  [2, 0, 20_000],
  [5, 0, 160_000],
  [9, 0, 300_000],
  [9, 9, 0],
  [10, 9, 10_000],
])('restart %d, steady since %d, waits %d ms', (restartCount, since, ms) => {
  expect(restartDelayMs({ restartCount, startedAt: 1, finishedAt: 2 }, since)).toEqual({ ms, steady: false });
});

test('a container that ran for ten minutes is restarted at once', () => {
  expect(restartDelayMs({ restartCount: 7, startedAt: 1, finishedAt: 600_001 }, 0)).toEqual({
    ms: 0,
    steady: true,
  });
});

describe('what CRI gets', () => {
  const podOf = (spec: Partial<NonNullable<Pod['spec']>>, container: Partial<Container> = {}): Pod => ({
    metadata: { name: 'web', namespace: 'shop', uid: 'u' },
    spec: { containers: [{ name: 'main', image: 'i', ...container }], ...spec },
  });
  const directories = { root: '/r', podLogs: '/logs', containerLogs: '/links' };

  test('port mappings carry address and protocol', () => {
    const ports = [
      { containerPort: 8080, hostPort: 80, protocol: 'TCP' },
      { containerPort: 53, hostPort: 53, hostIP: '127.0.0.1', protocol: 'UDP' },
      { containerPort: 9 },
    ];
    expect(portMappings(podOf({}, { ports }))).toEqual([
      { containerPort: 8080, hostPort: 80, hostIp: '', protocol: 'TCP' },
      { containerPort: 53, hostPort: 53, hostIp: '127.0.0.1', protocol: 'UDP' },
      { containerPort: 9, hostPort: 0, hostIp: '', protocol: 'TCP' },
    ]);
  });

  test.each([
    [{}, { network: 'pod', pid: 'container', ipc: 'pod' }],
    [
      { hostNetwork: true, hostPID: true, hostIPC: true },
      { network: 'node', pid: 'node', ipc: 'node' },
    ],
    [{ shareProcessNamespace: true }, { network: 'pod', pid: 'pod', ipc: 'pod' }],
  ])('%p means %p', (spec, expected) => {
    const config = sandboxConfig(podOf(spec), 3, {}, directories);
    expect(config.linux?.securityContext?.namespaceOptions as object).toEqual(expected);
    expect(config.metadata).toEqual({ name: 'web', namespace: 'shop', uid: 'u', attempt: 3 });
    expect(config.logDirectory).toBe('/logs/shop_web_u');
  });

  test('a host name fits into a label', () => {
    const pod = podOf({});
    pod.metadata!.name = `${'a'.repeat(62)}-b`;
    expect(podHostname(pod)).toBe('a'.repeat(62));
    expect(podHostname(podOf({ hostname: 'h' }))).toBe('h');
  });

  const config = (
    container: Partial<Container>,
    spec: Partial<NonNullable<Pod['spec']>> = {},
    of = image(),
  ) => {
    const pod = podOf(spec, container);
    return containerConfig({
      pod,
      container: pod.spec!.containers[0]!,
      attempt: 2,
      restartCount: 2,
      image: of,
      env: new Map([['A', 'a']]),
      mounts: [],
    });
  };

  test.each([
    [
      'commands are expanded',
      { command: ['$(A)'], args: ['$$(A)', '$(B)'] },
      {},
      { command: ['a'], args: ['$(A)', '$(B)'] },
    ],
    [
      'capabilities lose their prefix',
      { securityContext: { capabilities: { add: ['CAP_NET_ADMIN'], drop: ['all'] } } },
      {},
      {
        linux: {
          securityContext: { capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'] } },
        },
      },
    ],
    [
      'privileged masks nothing',
      { securityContext: { privileged: true } },
      {},
      { linux: { securityContext: { privileged: true, maskedPaths: [], readonlyPaths: [] } } },
    ],
    [
      'the container’s user goes before the pod’s',
      { securityContext: { runAsUser: 1, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false } },
      { securityContext: { runAsUser: 2, runAsGroup: 3, fsGroup: 4, supplementalGroups: [5] } },
      {
        linux: {
          securityContext: {
            runAsUser: { value: 1 },
            runAsGroup: { value: 3 },
            supplementalGroups: [5, 4],
            readonlyRootfs: true,
            noNewPrivs: true,
          },
        },
      },
    ],
    [
      'resources',
      { resources: { requests: { cpu: '250m' }, limits: { cpu: '500m', memory: '64Mi' } } },
      {},
      {
        linux: {
          resources: {
            cpuShares: 256,
            cpuQuota: 50_000,
            cpuPeriod: 100_000,
            memoryLimitInBytes: 67_108_864,
            oomScoreAdj: 500,
          },
        },
      },
    ],
  ])('%s', (_name, container, spec, expected) => {
    expect(config(container as Partial<Container>, spec)).toMatchObject(expected);
  });

  test.each([
    [{ runAsUser: 0 }, image(), "container's runAsUser breaks non-root policy"],
    [{}, image({ uid: { value: 0 } }), 'image will run as root'],
    [{}, image(), 'image will run as root'],
    [{}, image({ username: 'www' }), 'image has non-numeric user (www)'],
  ])('runAsNonRoot with %p is refused', (security, of, message) => {
    expect(() => config({ securityContext: { runAsNonRoot: true, ...security } }, {}, of)).toThrow(message);
  });
  test('runAsNonRoot with a user of its own is fine', () => {
    config({ securityContext: { runAsNonRoot: true } }, {}, image({ uid: { value: 7 } }));
    config({ securityContext: { runAsNonRoot: true, runAsUser: 7 } });
  });
});

describe('probes', () => {
  const follow = async (container: Partial<Container>, results: ProbeResult['outcome'][]) => {
    const clock = new StepClock();
    const changes: string[] = [];
    const left = [...results];
    const done = Promise.withResolvers<void>();
    const probes: PodProbes = new PodProbes({
      clock,
      run: async () => {
        const outcome = left.shift();
        if (outcome === undefined) {
          done.resolve();
          return await new Promise<never>(() => {});
        }
        return { outcome, message: '' };
      },
      onChange: () => {
        const { started, ready, failed } = probes.verdict('c');
        changes.push(
          `${clock.time / 1000}s${started ? ' started' : ''}${ready ? ' ready' : ''}${failed ?? ''}`,
        );
        if (failed !== undefined || left.length === 0) done.resolve();
      },
      onFailure: () => {},
    });
    const run = { id: 'c', name: 'main', state: 'running' } as Parameters<PodProbes['watch']>[1][number];
    probes.watch({ spec: { containers: [{ name: 'main', ...container }] } }, [run], '10.0.0.1');
    await done.promise;
    probes.stop();
    return changes;
  };
  const ok = 'success';
  const no = 'failure';
  test.each([
    [
      'readiness comes and goes',
      { readinessProbe: { periodSeconds: 1, failureThreshold: 2 } },
      [no, ok, no, ok, no, no, ok],
      ['1s started ready', '5s started', '6s started ready'],
    ],
    [
      'successThreshold',
      { readinessProbe: { periodSeconds: 1, successThreshold: 2 } },
      [ok, no, ok, ok],
      ['3s started ready'],
    ],
    [
      'liveness fails after three',
      { livenessProbe: {} },
      [no, no, ok, no, no, no],
      ['50s started readyliveness'],
    ],
    [
      'what cannot be run changes nothing',
      { livenessProbe: {} },
      ['unknown', 'unknown', 'unknown', 'unknown', ok],
      [],
    ],
    [
      'startup first',
      { startupProbe: { periodSeconds: 2, initialDelaySeconds: 5 } },
      [no, no, ok],
      ['9s started ready'],
    ],
    ['startup fails', { startupProbe: { failureThreshold: 1 } }, [no], ['0s readystartup']],
  ] as [string, Partial<Container>, ProbeResult['outcome'][], string[]][])(
    '%s',
    async (_name, container, results, expected) => {
      expect(await follow(container, results)).toEqual(expected);
    },
  );
});

test('what runs of a pod has a digest that every change changes', async () => {
  const runtime = new FakeRuntime();
  const observer = new Observer(runtime);
  const digests: (string | undefined)[] = [];
  const look = async () => digests.push((await observer.all()).find(({ uid }) => uid === 'u')?.digest);
  const labels = {
    'io.kubernetes.pod.uid': 'u',
    'io.kubernetes.pod.name': 'p',
    'io.kubernetes.pod.namespace': 'n',
  };
  await look();
  const config = { metadata: { name: 'p', uid: 'u' }, labels };
  const sandbox = await runtime.runSandbox(config);
  await look();
  const container = await runtime.createContainer(sandbox, { metadata: { name: 'c' }, labels });
  await look();
  await runtime.startContainer(container);
  await look();
  runtime.end(container, 1);
  await look();
  await runtime.stopSandbox(sandbox);
  await look();
  expect(digests[0]).toBeUndefined();
  expect(new Set(digests).size).toBe(digests.length);
  await look();
  expect(digests.at(-1)).toBe(digests.at(-2));
});

test.each([
  [137, 'OOMKilled'],
  [0, ''],
  [1, ''],
])(
  'a container that ended with %d long after its node ran out of memory has reason %j',
  async (exitCode, reason) => {
    const runtime = new FakeRuntime();
    const labels = { 'io.kubernetes.pod.uid': 'u' };
    const sandbox = await runtime.runSandbox({ metadata: { name: 'p', uid: 'u' }, labels });
    const container = await runtime.createContainer(sandbox, { metadata: { name: 'c' }, labels });
    await runtime.startContainer(container);
    runtime.end(container, exitCode);
    const real = await runtime.containerStatus(container);
    runtime.containerStatus = async () => ({ ...real!, reason: 'OOMKilled' });
    const { containers } = await new Observer(runtime).pod('u');
    expect(containers[0]).toMatchObject({ exitCode, reason });
  },
);

describe('static pods', () => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}\n';
  test('are named after their node and follow from their content', async () => {
    const pod = await staticPod(text, 'web.yaml', 'node-1');
    expect(pod.metadata).toMatchObject({ name: 'web-node-1', namespace: 'default' });
    expect(pod.metadata?.annotations).toEqual({
      'kubernetes.io/config.hash': pod.metadata!.uid!,
      'kubernetes.io/config.source': 'file',
    });
    expect(pod.spec?.nodeName).toBe('node-1');
    expect((await staticPod(text, 'web.yaml', 'node-1')).metadata?.uid).toBe(pod.metadata!.uid!);
    const other = await staticPod(text.replace('image: i', 'image: j'), 'web.yaml', 'node-1');
    expect(other.metadata?.uid).not.toBe(pod.metadata!.uid!);
  });
  test.each([
    ['kind: Service\napiVersion: v1\n', 'not a v1 Pod: v1 Service'],
    ['', 'not a v1 Pod: no apiVersion no kind'],
    ['apiVersion: v1\nkind: Pod\n', 'metadata.name and spec.containers are required'],
    ['{', 'Flow map'],
  ])('%p is not valid', async (broken, message) => {
    await expect(staticPod(broken, 'web.yaml', 'n')).rejects.toThrow(message);
  });
});

describe('flags', () => {
  const needed = ['--kubeconfig=/k', '--hostname-override=n', '--node-ip=172.17.0.2'];
  test('are read', () => {
    expect(
      parseFlags([
        ...needed,
        '--node-labels=a=b,c=',
        '--register-with-taints=k=v:NoSchedule,x:NoExecute',
        '--cluster-dns=10.96.0.10',
      ]),
    ).toMatchObject({
      labels: { a: 'b', c: '' },
      taints: [
        { key: 'k', value: 'v', effect: 'NoSchedule' },
        { key: 'x', effect: 'NoExecute' },
      ],
      clusterDns: ['10.96.0.10'],
      rootDirectory: '/var/lib/kubelet',
    });
  });
  test.each([
    [[], '--kubeconfig is required'],
    [['--kubeconfig=/k'], '--hostname-override is required'],
    [[...needed, '--node-labels=a'], '--node-labels: "a" is not key=value'],
    [[...needed, '--register-with-taints=a'], '--register-with-taints: "a" is not key[=value]:effect'],
    [[...needed, '--tls-cert-file=/c'], 'must be given together'],
    [[...needed, '--nonsense'], 'nonsense'],
  ])('%p is refused', (argv, message) => {
    expect(() => parseFlags(argv)).toThrow(message);
  });
});
