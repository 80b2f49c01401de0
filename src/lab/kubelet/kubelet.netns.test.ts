import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectRuntime } from '../../cri/client.ts';
import {
  BUSYBOX_IMAGE,
  NODE_IP,
  startContainerd,
  type TestContainerd,
  testConflist,
} from '../../cri/testing/containerd.ts';
import { FakeApi } from '../../kube/client.fake.ts';
import { configMaps, events as kubeEvents, nodes, pods, secrets, services } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { realClock } from '../../sys/clock.ts';
import { output, realExec } from '../../sys/exec.ts';
import { followManifests } from './static-pods/manifests.ts';
import { busyboxPod, NODE_NAME, startKubelet, waitForPod } from './testing/node.ts';

/** One node through its life, in order: the tests build on one another as a node's days do. */
describe('a kubelet on real containerd', () => {
  let containerd: TestContainerd;
  const api = new FakeApi();
  let node: ReturnType<typeof startKubelet>;
  let runtime: ReturnType<typeof connectRuntime>;
  const inNode = (...argv: string[]) =>
    realExec.run(['nsenter', `--net=/run/netns/${containerd.netns}`, ...argv], { timeoutMs: 10_000 });
  const ready = async () =>
    (await api.get(nodes, NODE_NAME)).status?.conditions?.find(({ type }) => type === 'Ready');

  beforeAll(async () => {
    containerd = await startContainerd('kubelet');
    runtime = connectRuntime(containerd.socket);
    await api.create(services, {
      metadata: { name: 'kubernetes', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] },
    });
    node = startKubelet(containerd, api);
  }, 30_000);

  afterAll(async () => {
    await node?.stop();
    runtime?.close();
    await containerd?.stop();
  }, 30_000);

  test('registers a node that is not ready while there is no network configuration', async () => {
    await until(async () => (await ready())?.status === 'False');
    expect(await ready()).toMatchObject({
      reason: 'KubeletNotReady',
      message:
        'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized',
    });
  });

  test('is ready soon after a conflist appears', async () => {
    await writeFile(join(containerd.cniConf, '10-test.conflist'), testConflist(containerd.directory));
    const begun = Date.now();
    await until(async () => (await ready())?.status === 'True');
    // A kubelet that is ready looks every five seconds; one that is not, more often.
    expect(Date.now() - begun).toBeLessThan(4_500);
  });

  test('runs a pod whose host port answers through portmap', async () => {
    const pod = busyboxPod('echo', [], {
      containers: [
        {
          name: 'echo',
          image: BUSYBOX_IMAGE,
          imagePullPolicy: 'Never',
          command: ['sh', '-c', 'cd /tmp; echo answered > index.html; exec httpd -f -p 8080'],
          ports: [{ containerPort: 8080, hostPort: 80, protocol: 'TCP' }],
        },
      ],
    });
    await api.create(pods, pod);
    const running = await waitForPod(api, 'echo', (found) => found?.status?.phase === 'Running');
    expect(running?.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    expect(running?.status).toMatchObject({
      hostIP: '172.17.0.2',
      qosClass: 'BestEffort',
      podIP: expect.stringMatching(/^10\.99\.0\./),
      containerStatuses: [
        { name: 'echo', ready: true, started: true, restartCount: 0, image: BUSYBOX_IMAGE },
      ],
    });
    await until(async () => (await fromNode()).stdout === 'answered\n');
    await until(async () => (await events('echo')).length === 3);
    expect(await events('echo')).toEqual(['Pulled', 'Created', 'Started']);
  });

  test('the pod finds its names, hosts and services as documented', async () => {
    const hosts = await inPod('echo', 'cat', '/etc/hosts');
    const { podIP } = (await api.get(pods, 'echo', 'default')).status!;
    expect(hosts).toBe(
      [
        '# Kubernetes-managed hosts file.',
        '127.0.0.1\tlocalhost',
        '::1\tlocalhost ip6-localhost ip6-loopback',
        'fe00::0\tip6-localnet',
        'fe00::0\tip6-mcastprefix',
        'fe00::1\tip6-allnodes',
        'fe00::2\tip6-allrouters',
        `${podIP}\techo`,
        '',
      ].join('\n'),
    );
    const resolv = await inPod('echo', 'cat', '/etc/resolv.conf');
    const [server, search, options] = resolv.split('\n');
    expect(server).toBe('nameserver 10.96.0.10');
    expect(search).toStartWith('search default.svc.cluster.local svc.cluster.local cluster.local');
    expect(options).toBe('options ndots:5');
    const env = (await inPod('echo', 'env')).split('\n');
    expect(env).toContain('HOSTNAME=echo');
    expect(env).toContain('KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443');
    expect(env).toContain('KUBERNETES_SERVICE_PORT_HTTPS=443');
  });

  test('a kubelet that was restarted adopts what runs', async () => {
    const before = await containerIds();
    await node.stop();
    node = startKubelet(containerd, api);
    await until(async () => node.kubelet.pods().length === 1);
    await until(
      async () => node.lines.some((line) => line.includes('is Ready')) || (await ready())?.status === 'True',
    );
    await Bun.sleep(300);
    expect(await containerIds()).toEqual(before);
    expect((await api.get(pods, 'echo', 'default')).status?.containerStatuses?.[0]?.restartCount).toBe(0);
  });

  test('containerd killed and started again: the pod keeps running, and exits are seen as before', async () => {
    const before = await containerIds();
    await containerd.restart();
    await until(async () => (await ready())?.status === 'True');
    expect(await containerIds()).toEqual(before);
    expect((await fromNode()).stdout).toBe('answered\n');
    await runtime.stopContainer(before[0]!, 0);
    const restarted = await waitForPod(
      api,
      'echo',
      (pod) =>
        pod?.status?.containerStatuses?.[0]?.restartCount === 1 && pod.status.containerStatuses[0].ready,
    );
    expect(restarted?.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      exitCode: expect.any(Number),
      containerID: `containerd://${before[0]}`,
    });
  });

  test('deleting the pod ends it, frees its port and leaves nothing', async () => {
    const uid = (await api.get(pods, 'echo', 'default')).metadata!.uid!;
    await api.delete(pods, 'echo', 'default', { gracePeriodSeconds: 1 });
    await waitForPod(api, 'echo', (pod) => pod === undefined);
    expect(await runtime.listSandboxes()).toEqual([]);
    expect(await runtime.listContainers()).toEqual([]);
    expect((await inNode('iptables-save')).stdout).not.toContain('--dports 80');
    expect(await readdir(join(containerd.directory, 'kubelet/pods'))).not.toContain(uid);
    expect(await readdir(join(containerd.directory, 'log/pods'))).toEqual([]);
    expect(await readdir(join(containerd.directory, 'log/containers'))).toEqual([]);
    await until(async () => node.kubelet.pods().length === 0);
  });

  test('without portmap the event says so in the words of containerd, and the pod comes up when it is there', async () => {
    await rm(join(containerd.cniBin, 'portmap'));
    await api.create(pods, {
      ...busyboxPod('worker2', [], {
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            ports: [{ containerPort: 8080, hostPort: 80 }],
          },
        ],
      }),
    });
    await until(async () => (await events('worker2')).includes('FailedKillPod'));
    const failed = (await api.list(kubeEvents, { namespace: 'default' })).items.find(
      ({ reason }) => reason === 'FailedCreatePodSandBox',
    );
    expect(failed?.message).toMatch(
      /^Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "[0-9a-f]{64}": plugin type="portmap" failed \(add\): failed to find plugin "portmap" in path \[\/.*\/cni\/bin\]$/,
    );
    const waiting = await api.get(pods, 'worker2', 'default');
    expect(waiting.status?.phase).toBe('Pending');
    expect(waiting.status?.containerStatuses?.[0]?.state).toEqual({
      waiting: { reason: 'ContainerCreating' },
    });
    await cp('/usr/lib/cni/portmap', join(containerd.cniBin, 'portmap'));
    const begun = Date.now();
    await waitForPod(api, 'worker2', (pod) => pod?.status?.phase === 'Running');
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect((await runtime.listSandboxes()).length).toBe(1);
    await remove('worker2');
  });

  test('init containers run one after another, before the others', async () => {
    const init = (name: string, script: string) => ({
      name,
      image: BUSYBOX_IMAGE,
      imagePullPolicy: 'Never',
      command: ['sh', '-c', script],
      volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
    });
    await api.create(
      pods,
      busyboxPod('inits', [], {
        restartPolicy: 'Never',
        volumes: [{ name: 'shared', emptyDir: {} }],
        initContainers: [init('one', 'echo 1 >> /shared/log'), init('two', 'echo 2 >> /shared/log')],
        containers: [init('main', 'cat /shared/log; echo bye > /dev/termination-log; exit 3')],
      }),
    );
    const ended = await waitForPod(api, 'inits', (pod) => pod?.status?.phase === 'Failed');
    expect(ended?.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({
      exitCode: 3,
      reason: 'Error',
      message: 'bye\n',
    });
    const [main] = await node.kubelet.containerRuns(ended!, 'main');
    expect(await readFile(main!.logPath, 'utf8')).toMatch(/ stdout F 1\n.* stdout F 2\n/);
    // An ended pod gives its network back and keeps its logs.
    await until(async () => (await runtime.listSandboxes()).every(({ state }) => state === 'not-ready'));
    await remove('inits');
  });

  test('a container that keeps ending is restarted with growing delays', async () => {
    await api.create(pods, busyboxPod('crash', ['sh', '-c', 'exit 7']));
    const looping = await waitForPod(
      api,
      'crash',
      (pod) => pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
    );
    const status = looping!.status!.containerStatuses![0]!;
    expect(status.restartCount).toBe(1);
    expect(status.state?.waiting?.message).toMatch(
      /^back-off 10s restarting failed container=main pod=crash_default\(.*\)$/,
    );
    expect(status.lastState?.terminated?.exitCode).toBe(7);
    expect(looping!.status!.phase).toBe('Running');
    await remove('crash');
  });

  test('configuration reaches a pod as environment and files', async () => {
    await api.create(configMaps, {
      metadata: { name: 'settings', namespace: 'default' },
      data: { color: 'blue' },
    });
    await api.create(secrets, {
      metadata: { name: 'hidden', namespace: 'default' },
      data: { word: Buffer.from('sesame').toString('base64') },
    });
    await api.create(
      pods,
      busyboxPod('config', [], {
        volumes: [
          { name: 'map', configMap: { name: 'settings' } },
          { name: 'secret', secret: { secretName: 'hidden', defaultMode: 0o400 } },
          {
            name: 'me',
            downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] },
          },
          { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        ],
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            envFrom: [{ configMapRef: { name: 'settings' }, prefix: 'MY_' }],
            env: [
              { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
              { name: 'BOTH', value: '$(MY_color)-$(IP)-$$(IP)' },
              { name: 'WORD', valueFrom: { secretKeyRef: { name: 'hidden', key: 'word' } } },
            ],
            volumeMounts: [
              { name: 'map', mountPath: '/etc/map' },
              { name: 'secret', mountPath: '/etc/secret' },
              { name: 'me', mountPath: '/etc/me' },
              { name: 'memory', mountPath: '/memory' },
              { name: 'map', mountPath: '/etc/color', subPath: 'color' },
            ],
          },
        ],
      }),
    );
    const pod = await waitForPod(api, 'config', (found) => found?.status?.phase === 'Running');
    const env = (await inPod('config', 'env')).split('\n');
    expect(env).toContain(`BOTH=blue-${pod!.status!.podIP}-$(IP)`);
    expect(env).toContain('WORD=sesame');
    const files = await inPod(
      'config',
      'cat',
      '/etc/map/color',
      '/etc/secret/word',
      '/etc/me/name',
      '/etc/color',
    );
    expect(files).toBe('bluesesameconfigblue');
    expect(await inPod('config', 'stat', '-Lc', '%a', '/etc/secret/word')).toBe('400\n');
    expect(await inPod('config', 'df', '/memory')).toContain('1024');
    await remove('config');
    expect((await output(realExec, ['findmnt', '-rno', 'TARGET'])).split('\n')).not.toContainEqual(
      expect.stringContaining(`${containerd.directory}/kubelet`),
    );
  });

  test('what a container needs and is not there is said, and waited for', async () => {
    await api.create(
      pods,
      busyboxPod('waits', [], {
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'later', key: 'x' } } }],
          },
        ],
      }),
    );
    const reason = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.waiting;
    const waiting = await waitForPod(
      api,
      'waits',
      (pod) => reason(pod)?.reason === 'CreateContainerConfigError',
    );
    expect(reason(waiting)?.message).toBe('configmap "later" not found');
    await api.create(configMaps, { metadata: { name: 'later', namespace: 'default' }, data: { x: '1' } });
    await waitForPod(api, 'waits', (pod) => pod?.status?.phase === 'Running');
    await remove('waits');
  });

  test.each([
    ['an image that is nowhere', 'registry.test/nothing:1', 'IfNotPresent', 'ErrImagePull'],
    ['an image that must not be pulled', 'registry.test/nothing:1', 'Never', 'ErrImageNeverPull'],
    ['an invalid name', 'UPPER case', 'Always', 'InvalidImageName'],
  ])('%s gives its reason', async (_name, image, imagePullPolicy, reason) => {
    await api.create(
      pods,
      busyboxPod('image', [], { containers: [{ name: 'main', image, imagePullPolicy }] }),
    );
    const waiting = await waitForPod(
      api,
      'image',
      (pod) => pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason === reason,
    );
    expect(waiting?.status?.phase).toBe('Pending');
    if (reason === 'ErrImagePull') {
      await waitForPod(
        api,
        'image',
        (pod) => pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'ImagePullBackOff',
        5_000,
      );
    }
    await remove('image');
  });

  test('probes: a failing liveness probe restarts, readiness follows its probe', async () => {
    const exec = (script: string) => ({ exec: { command: ['sh', '-c', script] } });
    await api.create(
      pods,
      busyboxPod('probes', [], {
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            readinessProbe: { ...exec('test -e /tmp/ready'), periodSeconds: 1 },
            livenessProbe: { ...exec('! test -e /tmp/sick'), periodSeconds: 1, failureThreshold: 1 },
          },
        ],
      }),
    );
    const main = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0];
    await waitForPod(api, 'probes', (pod) => pod?.status?.phase === 'Running' && main(pod)?.ready === false);
    await inPod('probes', 'touch', '/tmp/ready');
    await waitForPod(api, 'probes', (pod) => main(pod)?.ready === true);
    await inPod('probes', 'touch', '/tmp/sick');
    await waitForPod(
      api,
      'probes',
      (pod) => main(pod)?.restartCount === 1 && main(pod)?.state?.running !== undefined,
    );
    expect(await events('probes')).toContain('Unhealthy');
    await remove('probes');
  });

  test('hooks run: postStart before the pod is reported, preStop before the end', async () => {
    const directory = join(containerd.directory, 'hooks');
    await api.create(
      pods,
      busyboxPod('hooks', [], {
        terminationGracePeriodSeconds: 5,
        volumes: [{ name: 'out', hostPath: { path: directory, type: 'DirectoryOrCreate' } }],
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sh', '-c', 'trap "echo term >> /out/log; exit 0" TERM; while :; do sleep 0.1; done'],
            volumeMounts: [{ name: 'out', mountPath: '/out' }],
            lifecycle: {
              postStart: { exec: { command: ['sh', '-c', 'echo start >> /out/log'] } },
              preStop: { exec: { command: ['sh', '-c', 'echo stop >> /out/log'] } },
            },
          },
        ],
      }),
    );
    await waitForPod(api, 'hooks', (pod) => pod?.status?.phase === 'Running');
    await api.delete(pods, 'hooks', 'default', {});
    await waitForPod(api, 'hooks', (pod) => pod === undefined);
    expect(await readFile(join(directory, 'log'), 'utf8')).toBe('start\nstop\nterm\n');
  });

  test('two pods that name the same host port: the second is refused', async () => {
    const withPort = (name: string) =>
      busyboxPod(name, [], {
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            ports: [{ containerPort: 1, hostPort: 8081 }],
          },
        ],
      });
    await api.create(pods, withPort('first'));
    await waitForPod(api, 'first', (pod) => pod?.status?.phase === 'Running');
    await api.create(pods, withPort('second'));
    const refused = await waitForPod(api, 'second', (pod) => pod?.status?.phase === 'Failed');
    expect(refused?.status?.reason).toBe('NodePorts');
    await remove('second');
    await remove('first');
  });

  test('pods on the network of the node start although there is no network for others', async () => {
    await rm(join(containerd.cniConf, '10-test.conflist'));
    await until(async () => (await ready())?.status === 'False', 15_000);
    await api.create(pods, busyboxPod('host', ['sleep', '1000'], { hostNetwork: true }));
    const pod = await waitForPod(api, 'host', (found) => found?.status?.phase === 'Running');
    expect(pod?.status?.podIP).toBe('172.17.0.2');
    expect(await inPod('host', 'cat', '/etc/hosts')).toStartWith(
      '# Kubernetes-managed hosts file (host network).\n',
    );
    await api.create(pods, busyboxPod('other', ['sleep', '1000']));
    await until(async () => (await events('other')).includes('NetworkNotReady'));
    await writeFile(join(containerd.cniConf, '10-test.conflist'), testConflist(containerd.directory));
    await waitForPod(api, 'other', (found) => found?.status?.phase === 'Running');
    await remove('host');
    await remove('other');
  });

  test('static pods come and go with their manifests, and have a mirror in the API', async () => {
    const directory = join(containerd.directory, 'manifests');
    const stop = new AbortController();
    const following = followManifests(directory, NODE_NAME, realClock, {
      onPods: (wanted) => node.kubelet.setStaticPods(wanted),
      log: () => {},
      signal: stop.signal,
    });
    const manifest = (command: string) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...busyboxPod('static', ['sleep', command]) });
    await until(async () => (await readdir(directory)).length === 0);
    await writeFile(join(directory, 'static.json'), manifest('1000'));
    const name = `static-${NODE_NAME}`;
    const running = await waitForPod(api, name, (pod) => pod?.status?.phase === 'Running');
    expect(running?.metadata?.annotations?.['kubernetes.io/config.mirror']).toMatch(/^[0-9a-f]{32}$/);

    // The mirror is a picture: deleting it deletes nothing.
    const [sandbox] = await runtime.listSandboxes();
    await api.delete(pods, name, 'default', { gracePeriodSeconds: 0 });
    const again = await waitForPod(
      api,
      name,
      (pod) =>
        pod !== undefined && pod.metadata?.uid !== running?.metadata?.uid && pod.status?.phase === 'Running',
    );
    expect((await runtime.listSandboxes()).map(({ id }) => id)).toEqual([sandbox!.id]);

    // Another definition is another pod.
    await writeFile(join(directory, 'static.json'), manifest('2000'));
    await waitForPod(
      api,
      name,
      (pod) => pod?.spec?.containers[0]?.command?.[1] === '2000' && pod.status?.phase === 'Running',
    );
    expect(again?.metadata?.uid).not.toBe(undefined);
    await until(async () => (await runtime.listSandboxes()).every(({ id }) => id !== sandbox!.id));

    await rm(join(directory, 'static.json'));
    await waitForPod(api, name, (pod) => pod === undefined);
    await until(async () => (await runtime.listSandboxes()).length === 0);
    stop.abort();
    await following;
  });

  test('a service account’s token is there, and the CA beside it', async () => {
    await api.create(configMaps, {
      metadata: { name: 'kube-root-ca.crt', namespace: 'default' },
      data: { 'ca.crt': 'CERTIFICATE' },
    });
    const post = api.postSubresource;
    const asked: unknown[] = [];
    api.postSubresource = async <R>(...parameters: Parameters<typeof post>): Promise<R> => {
      asked.push(parameters);
      return {
        status: { token: 'TOKEN', expirationTimestamp: new Date(Date.now() + 3_600_000).toISOString() },
      } as R;
    };
    const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
    await api.create(
      pods,
      busyboxPod('token', [], {
        serviceAccountName: 'default',
        volumes: [
          {
            name: 'kube-api-access',
            projected: {
              sources: [
                { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
                { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
              ],
            },
          },
        ],
        containers: [
          {
            name: 'main',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sleep', '1000'],
            volumeMounts: [{ name: 'kube-api-access', mountPath, readOnly: true }],
          },
        ],
      }),
    );
    const pod = await waitForPod(api, 'token', (found) => found?.status?.phase === 'Running');
    expect(await inPod('token', 'cat', `${mountPath}/token`, `${mountPath}/ca.crt`)).toBe('TOKENCERTIFICATE');
    expect(asked).toMatchObject([
      [
        { kind: 'ServiceAccount' },
        'default',
        'default',
        'token',
        {
          kind: 'TokenRequest',
          spec: { expirationSeconds: 3607, boundObjectRef: { name: 'token', uid: pod!.metadata!.uid } },
        },
      ],
    ]);
    api.postSubresource = post;
    await remove('token');
  });

  test('a pod that vanished while no kubelet looked is ended', async () => {
    await api.create(pods, busyboxPod('orphan', ['sleep', '1000']));
    await waitForPod(api, 'orphan', (found) => found?.status?.phase === 'Running');
    await node.stop();
    await api.delete(pods, 'orphan', 'default', { gracePeriodSeconds: 0 });
    node = startKubelet(containerd, api);
    await until(async () => (await runtime.listSandboxes()).length === 0);
    await until(async () => (await readdir(join(containerd.directory, 'kubelet/pods'))).length === 0);
  });

  async function fromNode() {
    return await inNode('curl', '-s', '-m', '2', `http://${NODE_IP}/`);
  }

  async function containerIds(): Promise<string[]> {
    return (await runtime.listContainers()).map(({ id }) => id).sort();
  }

  async function events(name: string): Promise<string[]> {
    const { items } = await api.list(kubeEvents, { namespace: 'default' });
    return items.filter(({ involvedObject }) => involvedObject.name === name).map(({ reason }) => reason!);
  }

  async function inPod(name: string, ...command: string[]): Promise<string> {
    const pod = await api.get(pods, name, 'default');
    const id = pod.status!.containerStatuses![0]!.containerID!.replace('containerd://', '');
    const result = await runtime.execSync(id, command, 5);
    if (result.exitCode !== 0) throw new Error(`${command.join(' ')}: ${JSON.stringify(result)}`);
    return result.stdout;
  }

  async function remove(name: string): Promise<void> {
    await api.delete(pods, name, 'default', { gracePeriodSeconds: 1 });
    await waitForPod(api, name, (pod) => pod === undefined);
  }
});

async function until(holds: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not so within ${timeoutMs} ms`, { cause: last });
    await Bun.sleep(15);
  }
}
