import { afterAll, beforeAll, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startContainerd, type TestContainerd } from '../../cri/testing/containerd.ts';
import { FakeApi } from '../../kube/client.fake.ts';
import { kubeconfigDocument } from '../../kube/kubeconfig-document.ts';
import { createAuthority, issueCertificate } from '../../kube/pki.ts';
import { leases, nodes } from '../../kube/resources.ts';
import { realExec } from '../../sys/exec.ts';
import { enterNetns } from '../../sys/netns.ts';

const HOME = `/proc/${process.ppid}/ns/net`;

let containerd: TestContainerd;
beforeAll(async () => {
  containerd = await startContainerd('main');
}, 30_000);
afterAll(async () => {
  await containerd?.stop();
}, 30_000);

test('the daemon registers its node within 300 ms of the API, serves, and ends on SIGTERM', async () => {
  const api = new FakeApi();
  const ca = await createAuthority('kubernetes');
  const both = await issueCertificate(ca, { commonName: 'n', ipAddresses: ['127.0.0.1'], usage: 'both' });
  const file = (name: string) => join(containerd.directory, name);
  // The API is where the node is: in its network namespace.
  enterNetns(`/run/netns/${containerd.netns}`);
  let asked = 0;
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: { cert: both.certPem, key: both.keyPem },
    idleTimeout: 0,
    async fetch(request) {
      asked ||= Date.now();
      const { pathname, search } = new URL(request.url);
      const text = await request.text();
      return await api
        .fetch(request.method, pathname + search, text === '' ? undefined : JSON.parse(text), {
          'content-type': request.headers.get('content-type') ?? '',
        })
        .catch((error) => Response.json(error.status, { status: error.code ?? 500 }));
    },
  });
  let child: ReturnType<typeof spawn> | undefined;
  try {
    const credentials = { token: 'secret' };
    const kubeconfig = kubeconfigDocument({
      name: 'c',
      server: `https://127.0.0.1:${server.port}`,
      caPem: ca.certPem,
      credentials,
    });
    await writeFile(file('kubelet.conf'), kubeconfig, { mode: 0o600 });
    await writeFile(file('ca.crt'), ca.certPem);
    await writeFile(file('tls.crt'), both.certPem);
    await writeFile(file('tls.key'), both.keyPem, { mode: 0o600 });
    const argv = [
      `--kubeconfig=${file('kubelet.conf')}`,
      '--hostname-override=node-1',
      '--node-ip=172.17.0.2',
      `--container-runtime-endpoint=unix://${containerd.socket}`,
      `--root-dir=${file('kubelet')}`,
      `--pod-manifest-path=${file('manifests')}`,
      `--tls-cert-file=${file('tls.crt')}`,
      `--tls-private-key-file=${file('tls.key')}`,
      `--client-ca-file=${file('ca.crt')}`,
      '--node-labels=role=test',
      '--register-with-taints=k=v:NoSchedule',
    ];
    const script = `import { main } from ${JSON.stringify(join(import.meta.dir, 'main.ts'))}; process.exit(await main(process.argv.slice(1)));`;
    child = spawn(
      'nsenter',
      [`--net=/run/netns/${containerd.netns}`, process.execPath, '-e', script, '--', ...argv],
      {
        stdio: ['ignore', 'inherit', 'pipe'],
      },
    );
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child!.once('exit', resolve));
    const deadline = Date.now() + 10_000;
    const ready = async () =>
      (await api.get(nodes, 'node-1')).status?.conditions?.find(({ type }) => type === 'Ready');
    let registered = 0;
    for (;;) {
      const node = await api.get(nodes, 'node-1').catch(() => undefined);
      if (node !== undefined) registered ||= Date.now();
      if (
        node?.status?.conditions !== undefined &&
        (await api.get(leases, 'node-1', 'kube-node-lease').catch(() => undefined)) !== undefined
      )
        break;
      if (Date.now() > deadline) throw new Error(`no node within 10 s; the kubelet said:\n${said}`);
      await Bun.sleep(5);
    }
    expect(registered - asked).toBeLessThan(300);
    expect(await ready()).toMatchObject({ status: 'False', reason: 'KubeletNotReady' });
    const node = await api.get(nodes, 'node-1');
    expect(node.metadata?.labels).toMatchObject({ role: 'test', 'kubernetes.io/hostname': 'node-1' });
    expect(node.spec?.taints).toEqual([{ key: 'k', value: 'v', effect: 'NoSchedule' }]);
    expect(node.status?.nodeInfo?.containerRuntimeVersion).toMatch(/^containerd:\/\/1\./);
    // Not fetch: its sockets are made by a thread of its own, which has not changed its network namespace.
    const curl = [
      'curl',
      '-s',
      '--cacert',
      file('ca.crt'),
      '--cert',
      file('tls.crt'),
      '--key',
      file('tls.key'),
    ];
    const enter = ['nsenter', `--net=/run/netns/${containerd.netns}`];
    const healthz = async () =>
      (await realExec.run([...enter, ...curl, 'https://127.0.0.1:10250/healthz'])).stdout;
    while ((await healthz()) !== 'ok') {
      if (Date.now() > deadline) throw new Error(`does not serve within 10 s; the kubelet said:\n${said}`);
      await Bun.sleep(10);
    }
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    child?.kill('SIGKILL');
    await server.stop(true);
    enterNetns(HOME);
  }
}, 30_000);
