import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { startContainerd, type TestContainerd, testConflist } from '../../../cri/testing/containerd.ts';
import { FakeApi } from '../../../kube/client.fake.ts';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../../../kube/pki.ts';
import { pods } from '../../../kube/resources.ts';
import { enterNetns } from '../../../sys/netns.ts';
import { busyboxPod, startKubelet, waitForPod } from '../testing/node.ts';
import { serveKubelet } from './server.ts';

/** The test's own network namespace: its thread goes to the node's, where the runtime's streaming server is, and back. */
const HOME = `/proc/${process.ppid}/ns/net`;

describe('exec, attach and port-forward through real containerd', () => {
  const api = new FakeApi();
  let containerd: TestContainerd;
  let node: ReturnType<typeof startKubelet>;
  let server: Awaited<ReturnType<typeof serveKubelet>>;
  let ca: KeyedCertificate;
  let client: KeyedCertificate;

  beforeAll(async () => {
    containerd = await startContainerd('streams');
    await writeFile(join(containerd.cniConf, '10-test.conflist'), testConflist(containerd.directory));
    node = startKubelet(containerd, api);
    const command =
      'cd /tmp; echo answered > index.html; httpd -p 8080; while read -r line; do echo "got $line"; done; sleep 1000';
    const pod = busyboxPod('web', ['sh', '-c', command]);
    pod.spec!.containers[0]!.stdin = true;
    await api.create(pods, pod);
    await waitForPod(api, 'web', (found) => found?.status?.phase === 'Running');
    ca = await createAuthority('kubernetes');
    client = await issueCertificate(ca, { commonName: 'apiserver', usage: 'client' });
    const serving = await issueCertificate(ca, {
      commonName: 'n',
      ipAddresses: ['127.0.0.1'],
      usage: 'server',
    });
    const pki = join(containerd.directory, 'pki');
    await mkdir(pki);
    await writeFile(join(pki, 'ca.crt'), ca.certPem);
    await writeFile(join(pki, 'tls.crt'), serving.certPem);
    await writeFile(join(pki, 'tls.key'), serving.keyPem, { mode: 0o600 });
    enterNetns(`/run/netns/${containerd.netns}`);
    server = await serveKubelet(node.kubelet, {
      port: 0,
      host: '127.0.0.1',
      certFile: join(pki, 'tls.crt'),
      keyFile: join(pki, 'tls.key'),
      clientCaFile: join(pki, 'ca.crt'),
      log: () => {},
    });
  }, 30_000);

  afterAll(async () => {
    server?.close();
    enterNetns(HOME);
    await node?.stop();
    await containerd?.stop();
  }, 30_000);

  test('exec keeps output, errors and the exit status apart', async () => {
    const script = encodeURIComponent('echo out; echo err >&2; exit 3');
    const channels = await websocket(
      `/exec/default/web/main?command=sh&command=-c&command=${script}&output=1&error=1`,
    );
    expect(channels[1]).toBe('out\n');
    expect(channels[2]).toBe('err\n');
    expect(JSON.parse(channels[3]!)).toMatchObject({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    });
  });

  test('exec passes standard input on', async () => {
    const channels = await websocket(
      '/exec/default/web/main?command=head&command=-n1&input=1&output=1',
      'typed\n',
    );
    expect(channels[1]).toBe('typed\n');
    expect(JSON.parse(channels[3]!)).toMatchObject({ status: 'Success' });
  });

  test('attach reaches the running process', async () => {
    const channels = await websocket('/attach/default/web/main?input=1&output=1', 'hello\n', 'got hello\n');
    expect(channels[1]).toBe('got hello\n');
  });

  test('port-forward reaches a port of the pod', async () => {
    const channels = await websocket(
      '/portForward/default/web?port=8080',
      'GET / HTTP/1.0\r\n\r\n',
      'answered\n',
    );
    // Each direction of a forwarded port begins with the port's number, two bytes.
    expect(channels[0]!.slice(2)).toStartWith('HTTP/1.1 200 OK');
    expect(channels[0]).toEndWith('answered\n');
  });

  /**
   * Speaks `v4.channel.k8s.io` over a WebSocket: every message begins with the number of its channel. Ends when the server
   * does, or when the output has ended with `until`.
   */
  function websocket(path: string, input?: string, until?: string): Promise<Record<number, string>> {
    return new Promise((resolve, reject) => {
      const channels: Record<number, string> = {};
      const socket: TLSSocket = tlsConnect({
        host: '127.0.0.1',
        port: server.port,
        ca: ca.certPem,
        cert: client.certPem,
        key: client.keyPem,
      });
      let head: string | undefined = '';
      let pending = Buffer.alloc(0);
      socket.on('error', reject);
      socket.on('close', () => resolve(channels));
      socket.on('data', (data: Buffer) => {
        pending = Buffer.concat([pending, data]);
        if (head !== undefined) {
          const end = pending.indexOf('\r\n\r\n');
          if (end < 0) return;
          head = pending.subarray(0, end).toString();
          pending = pending.subarray(end + 4);
          if (!head.startsWith('HTTP/1.1 101')) reject(new Error(head));
          head = undefined;
          if (input !== undefined) socket.write(frame(0, input));
        }
        for (let message = takeFrame(); message !== undefined; message = takeFrame()) {
          const [channel = 0] = message;
          channels[channel] = (channels[channel] ?? '') + message.subarray(1).toString();
          if (until !== undefined && channels[channel]!.endsWith(until)) socket.end();
        }
      });
      const takeFrame = (): Buffer | undefined => {
        if (pending.length < 2) return undefined;
        const short = pending[1]! & 127;
        const header = short === 126 ? 4 : short === 127 ? 10 : 2;
        if (pending.length < header) return undefined;
        const length =
          short === 126
            ? pending.readUInt16BE(2)
            : short === 127
              ? Number(pending.readBigUInt64BE(2))
              : short;
        if (pending.length < header + length) return undefined;
        const isData = [0, 1, 2].includes(pending[0]! & 15);
        const payload = pending.subarray(header, header + length);
        pending = pending.subarray(header + length);
        return isData && payload.length > 0 ? payload : takeFrame();
      };

      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n`,
      );
    });
  }
});

/** One masked binary message, as a client must send it; the mask is zero. */
function frame(channel: number, text: string): Buffer {
  const payload = Buffer.concat([Uint8Array.of(channel), Buffer.from(text)]);
  return Buffer.concat([Uint8Array.of(0x82, 0x80 | payload.length, 0, 0, 0, 0), payload]);
}
