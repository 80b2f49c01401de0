import { describe, expect, test } from 'bun:test';
import { parse } from 'yaml';
import { agentFiles, defaultSettings } from '../scripts/agent-manifests.ts';
import { AGENT_CAPABILITIES, AGENT_MODES, type AgentMode, agentObjects } from '../src/agent/manifests.ts';
import { usableAgents } from '../src/collect/reader/agents.ts';
import { FakeCluster } from '../src/collect/reader/cluster.fake.ts';
import { readerPod } from '../src/collect/reader/manifests.ts';
import { pods } from '../src/kube/resources.ts';
import type { DaemonSet, Pod } from '../src/kube/types.ts';

const root = `${import.meta.dir}/..`;
const daemonSetOf = (mode: AgentMode) => agentObjects(defaultSettings(mode)).at(-1)!.object as DaemonSet;
const podOf = (mode: AgentMode) => daemonSetOf(mode).spec!.template.spec!;
const containerOf = (mode: AgentMode) => podOf(mode).containers[0]!;

describe('deploy and docs have what `bun scripts/agent-manifests.ts` writes', () => {
  test.each([...agentFiles()])('%s', async (path, text) => {
    expect(await Bun.file(`${root}/${path}`).text()).toBe(text);
  });
});

describe.each(AGENT_MODES)('--%s', (mode) => {
  test('has no more of the node than it says: no privileges, no other namespaces, nothing that can be written but its mounts', () => {
    const { securityContext: security } = containerOf(mode);
    expect(security).toMatchObject({ privileged: false, readOnlyRootFilesystem: true });
    expect(security?.capabilities).toEqual({
      drop: ['ALL'],
      add: AGENT_CAPABILITIES.filter(({ modes }) => modes.includes(mode)).map(({ name }) => name),
    });
    const { hostPID, hostIPC, securityContext } = podOf(mode);
    expect([hostPID, hostIPC]).toEqual([undefined, undefined]);
    expect(securityContext?.seccompProfile).toEqual({ type: 'RuntimeDefault' });
  });

  test('has limits', () => {
    expect(Object.keys(containerOf(mode).resources?.limits ?? {}).sort()).toEqual(['cpu', 'memory']);
  });

  test('runs an image of one version', () => {
    const { image } = containerOf(mode);
    expect(image).toMatch(/:\d+\.\d+\.\d+/);
    expect(image).not.toContain('latest');
  });

  test('mounts each volume, and each mount has one', () => {
    const volumes = podOf(mode).volumes!.map(({ name }) => name);
    expect(containerOf(mode).volumeMounts!.map(({ name }) => name)).toEqual(volumes);
    expect(new Set(volumes).size).toBe(volumes.length);
  });

  test('is what the doctor takes for an agent, for probes only where it can open sockets in pods', async () => {
    const cluster = new FakeCluster();
    for (const { resource, object } of agentObjects(defaultSettings(mode)))
      await cluster.create(resource, object);
    const { metadata } = await cluster.get(
      agentObjects(defaultSettings(mode)).at(-1)!.resource,
      'hostport-agent',
      'kube-system',
    );
    const { template } = daemonSetOf(mode).spec!;
    const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'hostport-agent', uid: metadata!.uid! };
    const pod: Pod = {
      metadata: {
        ...template.metadata,
        name: 'a',
        namespace: 'kube-system',
        ownerReferences: [{ ...owner, controller: true }],
      },
      spec: { ...template.spec!, nodeName: 'worker' },
    };
    await cluster.create(pods, pod);
    const made = await cluster.get(pods, 'a', 'kube-system');
    const present = [await cluster.update(pods, { ...made, status: { phase: 'Running' } }, 'status')];
    const retry = { signal: new AbortController().signal };
    const used = async (probes: boolean) => [...(await usableAgents(cluster, present, probes, retry)).keys()];
    expect(await used(false)).toEqual(['worker']);
    expect(await used(true)).toEqual(mode === 'heal' ? ['worker'] : []);
  });
});

test('an observer can write nothing of its node', () => {
  const { volumes } = podOf('observe');
  const written = containerOf('observe').volumeMounts!.filter(({ readOnly }) => readOnly !== true);
  expect(
    written.map(({ name }) => volumes!.find((volume) => volume.name === name)?.emptyDir?.medium),
  ).toEqual(['Memory']);
});

test('only one that heals may enter the namespaces of pods', () => {
  expect(AGENT_CAPABILITIES.find(({ name }) => name === 'SYS_ADMIN')?.modes).toEqual(['heal']);
});

test('settings are where they belong', () => {
  const settings = {
    ...defaultSettings('heal'),
    namespace: 'agents',
    image: 'registry.example/agent:9',
    imagePullSecrets: ['key'],
    apiServer: { host: 'api.example', port: 6443 },
    confDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
    binDirs: ['/var/lib/rancher/k3s/data/cni', '/usr/libexec/cni'],
    metricsPort: 9999,
  };
  const objects = agentObjects(settings).map(({ object }) => object);
  const namespaced = objects.filter(({ kind }) => kind === 'ServiceAccount' || kind === 'DaemonSet');
  expect(namespaced.map(({ metadata }) => metadata.namespace)).toEqual(['agents', 'agents']);
  expect(objects).toContainEqual(
    expect.objectContaining({
      subjects: [{ kind: 'ServiceAccount', name: 'hostport-agent', namespace: 'agents' }],
    }),
  );
  const spec = (objects.at(-1) as DaemonSet).spec!.template.spec!;
  const [container] = spec.containers;
  expect(spec.imagePullSecrets).toEqual([{ name: 'key' }]);
  expect(container).toMatchObject({
    image: settings.image,
    args: ['agent', 'run', '--heal', '--metrics-port', '9999'],
    ports: [{ containerPort: 9999, hostPort: 9999 }],
  });
  expect(container!.env).toContainEqual({ name: 'KUBERNETES_SERVICE_HOST', value: 'api.example' });
  expect(container!.env).toContainEqual({ name: 'KUBERNETES_SERVICE_PORT', value: '6443' });
  for (const directory of [settings.confDir, ...settings.binDirs]) {
    const { name } = container!.volumeMounts!.find(({ mountPath }) => mountPath === directory)!;
    expect(spec.volumes!.find((volume) => volume.name === name)?.hostPath?.path).toBe(directory);
  }
});

test('where nodes reach the API by its Service, nothing is said', () => {
  expect(containerOf('heal').env?.map(({ name }) => name)).toEqual(['NODE_NAME', 'HOST_IP']);
});

test("docs/any-cluster.md justifies each capability of the doctor's pods, and no others", async () => {
  const text = await Bun.file(`${root}/docs/any-cluster.md`).text();
  const start = text.indexOf('Of all capabilities it keeps');
  const section = text.slice(start, text.indexOf('\n## ', start));
  const rows = [...section.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \| \S/gm)];
  const named = rows.flatMap(([, cell]) => [...cell!.matchAll(/`([A-Z_]+)`/g)].map(([, name]) => name!));
  const pod = readerPod('worker', {
    ...{ run: '0', namespace: 'work', image: 'a', imagePullSecrets: [], probes: true, sendsProgram: false },
    ...{ lifetimeSeconds: 60, ends: '2026-01-01T00:00:00Z' },
  });
  expect(named.toSorted()).toEqual(pod.spec!.containers[0]!.securityContext!.capabilities!.add!.toSorted());
});

test('what is written is YAML that has the objects', async () => {
  const text = await Bun.file(`${root}/deploy/agent.yaml`).text();
  const objects = agentObjects(defaultSettings('heal')).map(({ object }) => object);
  expect(text.split(/^---$/m).map((document): unknown => parse(document))).toEqual(
    JSON.parse(JSON.stringify(objects)),
  );
});
