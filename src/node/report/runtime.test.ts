import { describe, expect, test } from 'bun:test';
import {
  cniDirectories,
  findRuntime,
  foundIn,
  type InspectedRuntime,
  inspectRuntime,
  inspectSandboxes,
  readRuntime,
  runtimeEndpoint,
  type SandboxMemory,
} from './runtime.ts';
import { withoutSecrets } from './secrets.ts';

type Answers = {
  name: string;
  info?: Record<string, string>;
  conditions?: { type: string; status: boolean; reason: string; message: string }[];
  sandboxes?: Record<string, { state?: 'ready' | 'not-ready'; info: unknown; ip?: string } | undefined>;
};

function runtimeThat({ name, info = {}, conditions = [], sandboxes = {} }: Answers): InspectedRuntime {
  const metadata = { name: 'echo', namespace: 'default', uid: 'u1', attempt: 2 };
  const about = { metadata, labels: {}, annotations: {}, createdAt: 1_700_000_000_123_000_000 };
  return {
    version: async () => ({ name, version: '1.2.3' }),
    verboseStatus: async () => ({ conditions, info }),
    listSandboxes: async () => Object.keys(sandboxes).map((id) => ({ id, state: 'ready', ...about })),
    verboseSandboxStatus: async (id) => {
      const seen = sandboxes[id];
      if (seen === undefined) return undefined;
      const network = { ip: seen.ip ?? '', additionalIps: [{ ip: 'fd00::2' }] };
      const status = { id, state: seen.state ?? 'ready', network, ...about } as const;
      return { status, info: { info: JSON.stringify(seen.info) } };
    },
  };
}

const CNI = {
  PluginDirs: ['/opt/cni/bin', '/usr/libexec/cni'],
  PluginConfDir: '/etc/cni/net.d',
  Networks: [
    { Config: { Name: 'cni-loopback', Source: '{}' }, IFName: 'lo' },
    { Config: { Name: 'net', Source: '{"name":"net"}' }, IFName: 'eth0' },
  ],
};

describe('containerd', () => {
  test('reports its directories and what it has loaded', async () => {
    const runtime = runtimeThat({
      name: 'containerd',
      info: { cniconfig: JSON.stringify(CNI), lastCNILoadStatus: 'OK', config: '{"registry":"secret"}' },
      conditions: [{ type: 'NetworkReady', status: true, reason: '', message: '' }],
    });
    expect(await inspectRuntime(runtime)).toEqual({
      name: 'containerd',
      version: '1.2.3',
      networkReady: true,
      networkMessage: '',
      confDir: '/etc/cni/net.d',
      binDirs: ['/opt/cni/bin', '/usr/libexec/cni'],
      loadedNetworks: {
        value: [
          { name: 'cni-loopback', config: '{}' },
          { name: 'net', config: '{"name":"net"}' },
        ],
      },
      lastLoadError: '',
    });
  });

  test('reports no secrets of what it has loaded', async () => {
    const Source = '{"plugins":[{"etcd_token":["t"]}]}';
    const info = { cniconfig: JSON.stringify({ ...CNI, Networks: [{ Config: { Name: 'net', Source } }] }) };
    const { loadedNetworks } = await inspectRuntime(runtimeThat({ name: 'containerd', info }));
    expect(loadedNetworks).toEqual({ value: [{ name: 'net', config: withoutSecrets(Source) }] });
    expect(withoutSecrets(Source)).not.toContain('"t"');
  });

  test.each<[string, string, string[], object]>([
    ['no more than its file has', '{"plugins":[{"type":"a"}]}', ['{"type":"a"}'], {}],
    ['a single configuration', '{"type":"a"}', ['{"type":"a"}'], {}],
    [
      'those of the drop-in directory, too',
      '{"plugins":[{"type":"a"}]}',
      ['{"type":"a"}', '{"type":"b","token":"t"}'],
      { plugins: ['{"type":"a"}', withoutSecrets('{"type":"b","token":"t"}')] },
    ],
  ])('reports the plugins of a network: %s', async (_, Source, sources, plugins) => {
    const Config = { Name: 'net', Source, Plugins: sources.map((each) => ({ Source: each })) };
    const info = { cniconfig: JSON.stringify({ ...CNI, Networks: [{ Config }] }) };
    const { loadedNetworks } = await inspectRuntime(runtimeThat({ name: 'containerd', info }));
    expect(loadedNetworks).toEqual({ value: [{ name: 'net', config: Source, ...plugins }] });
  });

  test('that could not load anything says why', async () => {
    const runtime = runtimeThat({
      name: 'containerd',
      info: {
        cniconfig: JSON.stringify({ ...CNI, Networks: null }),
        lastCNILoadStatus: 'no network config found in /etc/cni/net.d: cni plugin not initialized',
      },
      conditions: [
        { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: 'not initialized' },
      ],
    });
    expect(await inspectRuntime(runtime)).toMatchObject({
      networkReady: false,
      networkMessage: 'not initialized',
      loadedNetworks: { value: [] },
      lastLoadError: 'no network config found in /etc/cni/net.d: cni plugin not initialized',
    });
  });

  test('reports the mappings, namespace and addresses of a sandbox', async () => {
    const runtime = runtimeThat({
      name: 'containerd',
      sandboxes: {
        pod: {
          ip: '10.0.0.2',
          info: {
            config: {
              port_mappings: [
                { container_port: 8080, host_port: 80 },
                { protocol: 1, container_port: 53, host_port: 5353, host_ip: '10.1.1.1' },
                { container_port: 9090 },
              ],
              linux: { security_context: { namespace_options: { pid: 1 } } },
            },
            runtimeSpec: {
              linux: { namespaces: [{ type: 'pid' }, { type: 'network', path: '/run/netns/a' }] },
            },
          },
        },
        host: {
          state: 'not-ready',
          info: { config: { linux: { security_context: { namespace_options: { network: 2 } } } } },
        },
        removedMeanwhile: undefined,
      },
    });
    const sandboxes = await inspectSandboxes(runtime, undefined, (path) => path === '/run/netns/a');
    expect(sandboxes).toEqual([
      {
        id: 'pod',
        name: 'echo',
        namespace: 'default',
        uid: 'u1',
        attempt: 2,
        ready: true,
        createdAt: '2023-11-14T22:13:20.123Z',
        hostNetwork: false,
        netns: '/run/netns/a',
        netnsExists: true,
        ips: ['10.0.0.2', 'fd00::2'],
        portMappings: [
          { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
          { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '10.1.1.1' },
        ],
      },
      expect.objectContaining({ id: 'host', ready: false, hostNetwork: true, portMappings: [] }),
    ]);
  });
});

describe('who looks again and again', () => {
  const info = { runtimeSpec: { linux: { namespaces: [{ type: 'network', path: '/run/netns/a' }] } } };
  /** A runtime whose sandboxes a test changes, and which of them it was asked for. */
  const counted = () => {
    const answers: Answers = {
      name: 'containerd',
      sandboxes: { a: { info, ip: '10.0.0.1' }, b: { info, ip: '10.0.0.2' } },
    };
    const asked: string[] = [];
    const runtime = (): InspectedRuntime => {
      const real = runtimeThat(answers);
      const states = Object.entries(answers.sandboxes!).map(
        ([id, seen]) => [id, seen?.state ?? 'ready'] as const,
      );
      return {
        ...real,
        listSandboxes: async () =>
          (await real.listSandboxes()).map((one) => ({ ...one, state: new Map(states).get(one.id)! })),
        verboseSandboxStatus: (id) => {
          asked.push(id);
          return real.verboseSandboxStatus(id);
        },
      };
    };
    return { answers, asked, runtime };
  };

  test('asks for each sandbox once, as long as it runs', async () => {
    const { answers, asked, runtime } = counted();
    const memory: SandboxMemory = new Map();
    const look = (isThere = true) => inspectSandboxes(runtime(), undefined, () => isThere, { memory });
    const first = await look();
    expect(await look()).toEqual(first);
    expect(asked).toEqual(['a', 'b']);
    // Its namespace is looked at each time.
    expect((await look(false)).map(({ netnsExists }) => netnsExists)).toEqual([false, false]);
    answers.sandboxes!.a!.state = 'not-ready';
    expect((await look()).map(({ ready }) => ready)).toEqual([false, true]);
    expect(asked).toEqual(['a', 'b', 'a']);
    delete answers.sandboxes!.a;
    answers.sandboxes!.c = { info, ip: '10.0.0.3' };
    expect((await look()).map(({ id }) => id)).toEqual(['b', 'c']);
    expect(asked).toEqual(['a', 'b', 'a', 'c']);
    expect([...memory.keys()]).toEqual(['b', 'c']);
  });

  test('asks again for one that has no addresses yet', async () => {
    const { asked, runtime } = counted();
    const memory: SandboxMemory = new Map();
    const withoutAddress: InspectedRuntime = {
      ...runtime(),
      verboseSandboxStatus: async (id) => {
        const answer = await runtime().verboseSandboxStatus(id);
        return { ...answer!, status: { ...answer!.status!, network: undefined } };
      },
    };
    await inspectSandboxes(withoutAddress, undefined, () => true, { memory });
    await inspectSandboxes(runtime(), undefined, () => true, { memory });
    expect(asked).toEqual(['a', 'b', 'a', 'b']);
  });

  test('asks for the only one that is wanted', async () => {
    const { asked, runtime } = counted();
    const found = await inspectSandboxes(runtime(), undefined, () => true, { only: 'b' });
    expect(found.map(({ id }) => id)).toEqual(['b']);
    expect(asked).toEqual(['b']);
    expect(await inspectSandboxes(runtime(), undefined, () => true, { only: 'gone' })).toEqual([]);
  });
});

describe('CRI-O', () => {
  test('keeps its directories in TOML, and does not tell what it has loaded', async () => {
    const config =
      '[crio.network]\n  network_dir = "/etc/cni/other.d/"\n  plugin_dirs = [\n    "/a",\n    "/b",\n  ]\n';
    const report = await inspectRuntime(runtimeThat({ name: 'cri-o', info: { config } }));
    expect(report).toMatchObject({
      confDir: '/etc/cni/other.d',
      binDirs: ['/a', '/b'],
      loadedNetworks: { unknown: expect.stringContaining('cri-o') },
    });
  });

  test('reads mappings from an annotation', async () => {
    const mappings = [{ protocol: 2, container_port: 1, host_port: 2, host_ip: '' }];
    const annotations = { 'io.kubernetes.cri-o.PortMappings': JSON.stringify(mappings) };
    const info = { runtimeSpec: { annotations } };
    const [sandbox] = await inspectSandboxes(runtimeThat({ name: 'cri-o', sandboxes: { s: { info } } }));
    expect(sandbox!.portMappings).toEqual([{ hostPort: 2, containerPort: 1, protocol: 'sctp' }]);
  });
});

test('the first socket that is there is the runtime, docker beside it or not', () => {
  expect(findRuntime((path) => path.includes('crio'))).toBe('/run/crio/crio.sock');
  const docker = '/run/containerd/containerd.sock';
  const rke2 = '/run/k3s/containerd/containerd.sock';
  expect(findRuntime((path) => path === docker)).toBe(docker);
  expect(findRuntime((path) => path === docker || path === rke2)).toBe(rke2);
  expect(findRuntime(() => false)).toBeUndefined();
});

test('a socket that nobody serves leaves runtime and sandboxes unknown, soon', async () => {
  const { runtime, sandboxes } = await readRuntime('/nowhere/containerd.sock');
  expect(runtime).toEqual({ unknown: expect.stringContaining('/nowhere/containerd.sock') });
  expect(sandboxes).toEqual({ unknown: expect.stringContaining('/nowhere/containerd.sock') });
  expect(cniDirectories(runtime)).toEqual({
    confDir: '/etc/cni/net.d',
    binDirs: ['/opt/cni/bin'],
    guessed: true,
  });
});

test('nothing in directories that are guessed is no finding', () => {
  expect(() => foundIn(true, [])).toThrow('does not report which directories');
  expect(foundIn(true, ['a'])).toEqual(['a']);
  expect(foundIn(false, [])).toEqual([]);
});

test('a runtime is asked at the endpoint that the environment names', () => {
  const named = { CONTAINER_RUNTIME_ENDPOINT: 'unix:///nowhere/named.sock' };
  expect(runtimeEndpoint(named, () => true)).toBe('unix:///nowhere/named.sock');
  expect(runtimeEndpoint({ CONTAINER_RUNTIME_ENDPOINT: '' }, (path) => path.includes('crio'))).toBe(
    '/run/crio/crio.sock',
  );
});
